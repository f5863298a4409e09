"""The layers of a network, and one number for all weights between two units."""

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from callbacks.pictures.forward import calls
from pages.watch.columns import columns_of, shown, strengths


class Branches(pl.LightningModule):
    """Two layers that read the same input, one after the other, and functions between modules."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.left(x) + self.right(x)))


def test_a_branch_does_not_read_the_layer_before_it() -> None:
    left, right, head = columns_of(calls(Branches(), torch.randn(5, 3)))
    assert [each.label for each in (left, right, head)] == ["hidden 1", "hidden 2", "output"]
    assert right.reads_previous  # the input of the network is no layer's output, so this is not known


class Parallel(Branches):
    """The second and the third layer both read the first."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = nn.Linear(3, 3), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        trunk = self.trunk(x)
        left = self.left(trunk)
        return self.head(torch.relu(left + self.right(trunk)))


def test_a_layer_that_reads_an_earlier_one_is_found_out() -> None:
    found = columns_of(calls(Parallel(), torch.randn(5, 3)))
    assert [each.reads_previous for each in found] == [True, True, False, True]


def test_a_function_between_two_layers_belongs_to_the_first() -> None:
    torch.manual_seed(0)
    model = Branches()
    x = torch.randn(50, 3)
    found = columns_of(calls(model, x))
    assert float(found[1].output.min()) == 0.0  # after the relu
    assert float(found[2].output.min()) < 0.0


def test_a_kernel_counts_with_its_size_and_the_sign_of_its_sum() -> None:
    layer = nn.Conv2d(2, 1, 2)
    layer.weight.data = torch.tensor([[[[3.0, 4.0], [0.0, 0.0]], [[-1.0, -1.0], [-1.0, -1.0]]]])
    assert strengths(layer, 2).tolist() == [[2.5, -1.0]]
    assert strengths(layer, 3) is None
    after_flatten = nn.Linear(8, 3)
    assert strengths(after_flatten, 2).shape == (3, 2)
    assert strengths(nn.ConvTranspose2d(4, 6, 3), 4).shape == (6, 4)


def test_of_many_layers_the_first_and_the_last_are_drawn() -> None:
    layers = columns_of([])
    assert shown(layers) == []
    many = columns_of(calls(Deep(), torch.randn(2, 3)))
    assert shown(many) == [0, 1, 2, 3, 4, 15, 16, 17, 18, 19]


class Deep(pl.LightningModule):
    """Twenty layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(3, 3) for _ in range(20)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
