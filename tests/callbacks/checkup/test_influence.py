"""Inputs that cannot influence anything."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.influence import inputs_matter
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, mlp, rows

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
SERIES = torch.randn(40, 5, 6, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 3
WARN, FAIL = [("inputs that cannot matter", "warn")], [("inputs that cannot matter", "fail")]


class After(nn.Module):
    """A network that gets a part of its input."""

    def __init__(self, function, net):
        super().__init__()
        self.function, self.net = function, net

    def forward(self, x):
        return self.net(self.function(x))


def convolution(channels):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


class Recurrent(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.rnn = nn.GRU(width, 3, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0][:, -1]


def zero_head():
    net = mlp(6, 8, 3)
    for parameter in net[-1].parameters():
        nn.init.zeros_(parameter)
    return net


class Categories(nn.Module):
    """The last column is a category."""

    def __init__(self):
        super().__init__()
        self.embedding, self.net = nn.Embedding(10, 2), mlp(7, 8, 3)

    def forward(self, x):
        return self.net(torch.cat([x[:, :5], self.embedding((x[:, 5].abs() * 3).long().clamp(max=9))], 1))


NETS = {
    "a feature sliced away": (lambda: After(lambda x: x[:, :5], mlp(5, 3)), X, WARN),
    "a channel": (lambda: After(lambda x: x[:, :1], convolution(1)), IMAGES, WARN),
    "a feature of a series": (lambda: After(lambda x: x[..., 1:], Recurrent(5)), SERIES, WARN),
    "everything": (lambda: After(lambda x: torch.ones_like(x), mlp(6, 3)), X, FAIL),
    "overwritten": (lambda: After(lambda x: x * 0, mlp(6, 3)), X, FAIL),
    "an MLP": (lambda: mlp(6, 8, 3), X, []),
    "a convolution": (lambda: convolution(3), IMAGES, []),
    "a recurrent layer": (lambda: Recurrent(6), SERIES, []),
    "a head of zeros": (zero_head, X, []),
    "a category": (Categories, X, []),
    "the last step": (lambda: After(lambda x: x[:, -1], mlp(6, 3)), SERIES, []),
    "strides that leave out the border": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 4), convolution(4)[2:]),
        IMAGES,
        [],
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_networks(name):
    make, inputs, kinds = NETS[name]
    assert found(Plain(make(), F.cross_entropy), rows(inputs, Y, batch_size=20), inputs_matter) == kinds


def test_dead_units_are_no_fault_of_the_wiring():
    net = mlp(6, 8, 3, activation=nn.ReLU)
    nn.init.constant_(net[0].bias, -100.0)
    observer = examine(Plain(net, F.cross_entropy), rows(X, Y, batch_size=20), inputs_matter)
    assert observer.why_not == [
        "with these weights no input matters, with others it does: all units are dead"
    ]


def test_a_constant_feature_cannot_show_whether_it_matters():
    constant = torch.cat([X[:, :5], torch.ones(40, 1)], 1)
    model = Plain(After(lambda x: x[:, :5], mlp(5, 3)), F.cross_entropy)
    assert found(model, rows(constant, Y, batch_size=20), inputs_matter) == []


def test_a_column_may_be_the_target():
    class Table(Plain):
        def training_step(self, batch, batch_idx):
            (table,) = batch
            return F.mse_loss(self(table[:, :5]), table[:, 5:])

    assert found(Table(mlp(5, 1)), rows(X, batch_size=20), inputs_matter) == []


def test_a_column_may_weight_the_loss():
    class Weighted(Plain):
        def training_step(self, batch, batch_idx):
            x, y = batch
            return (F.cross_entropy(self(x[:, :5]), y, reduction="none") * x[:, 5].abs()).mean()

    assert found(Weighted(mlp(5, 3)), rows(X, Y, batch_size=20), inputs_matter) == []


def test_the_columns_are_named():
    model = Plain(After(lambda x: x[:, [0, 2, 3]], mlp(3, 3)), F.cross_entropy)
    (verdict,) = examine(model, rows(X, Y, batch_size=20), inputs_matter).verdicts
    assert (
        "3 of 6 features of the input (20, 6) influence neither prediction nor loss: 1, 4, 5."
        in verdict.message
    )


def test_tokens_have_no_gradient():
    model = Plain(nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(12, 3)), F.cross_entropy)
    observer = examine(model, rows(torch.randint(0, 5, (40, 4)), Y, batch_size=20), inputs_matter)
    assert observer.why_not == ["the inputs are not real numbers, so they have no gradient"]
