"""layers.json has the layers in order of depth, with the shapes of one sample."""

import json

import torch
from torch import nn

from callbacks import GradientMonitor
from callbacks.inside import LayerTable
from callbacks.inside.layers import FILE
from tests.callbacks.plain import MemoryLogger, Plain, fit, has_hooks, mlp, rows


def table(tmp_path, model, *batch, **options):
    fit(model, rows(*batch), GradientMonitor(), LayerTable(tmp_path), **options)
    return json.loads((tmp_path / FILE).read_text())


def test_a_perceptron(tmp_path):
    model = Plain(mlp(2, 3, 1))
    model.net[2].bias.requires_grad_(False)
    assert table(tmp_path, model, torch.rand(8, 2), torch.rand(8, 1)) == [
        {
            "name": "net.0",
            "tag": "00_net.0",
            "label": "hidden 1",
            "type": "Linear",
            "input": [2],
            "output": [3],
            "parameters": 9,
            "trainable": 9,
        },
        {
            "name": "net.2",
            "tag": "01_net.2",
            "label": "output",
            "type": "Linear",
            "input": [3],
            "output": [1],
            "parameters": 4,
            "trainable": 3,
        },
    ]
    assert not has_hooks(model)


class Backwards(nn.Module):
    """Registers its layers in another order than it calls them, and one that it never calls."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 1)
        self.unused = nn.Linear(2, 2)
        self.body = nn.Conv2d(1, 6, 3)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def test_order_and_labels_are_those_of_depth(tmp_path):
    logger = MemoryLogger()
    found = table(tmp_path, Plain(Backwards()), torch.rand(4, 1, 8, 8), torch.rand(4, 1), logger=logger)
    seen = [(each["tag"], each["label"], each["input"], each["output"]) for each in found]
    assert seen == [
        ("00_net.body", "convolution 1", [1, 8, 8], [6, 6, 6]),
        ("01_net.head", "hidden 1", [6], [1]),
        ("02_net.unused", "output", None, None),
    ]
    tags = {tag.partition("/")[2] for tag in logger.tags("grad_norm")}
    assert tags <= {each["tag"] for each in found}


class Sequence(nn.Module):
    """Words with the batch in second place, as PyTorch's recurrent networks want them by default."""

    def __init__(self):
        super().__init__()
        self.words, self.rnn, self.head = nn.Embedding(9, 4), nn.GRU(4, 6), nn.Linear(6, 1)

    def forward(self, x):
        return self.head(self.rnn(self.words(x.T))[0])[-1]


def test_the_axis_of_the_batch_is_left_out_wherever_it_is(tmp_path):
    found = table(tmp_path, Plain(Sequence()), torch.randint(9, (5, 7)), torch.rand(5, 1))
    assert [(each["input"], each["output"]) for each in found] == [
        ([7], [7, 4]),
        ([7, 4], [7, 6]),
        ([7, 6], [7, 1]),
    ]


def test_it_is_written_once(tmp_path):
    model, data = Plain(mlp(2, 3, 1)), rows(torch.rand(8, 2), torch.rand(8, 1))
    fit(model, data, LayerTable(tmp_path))
    (tmp_path / FILE).write_text("kept")
    fit(model, data, LayerTable(tmp_path))
    assert (tmp_path / FILE).read_text() == "kept"
    fit(model, data, LayerTable(tmp_path / "none"), fast_dev_run=True)
    assert not (tmp_path / "none").exists()
