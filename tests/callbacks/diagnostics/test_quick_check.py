"""What NonFiniteGuard checks at steps that are not logged: a few gradients, to which a NaN from elsewhere comes down."""

import math

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from torch import nn

from callbacks import NonFiniteGuard
from tests.callbacks.diagnostics.test_nonfinite import WARNING, Plant, X, Y, guard, planted
from tests.callbacks.plain import Plain, fit, mlp, rows


class Call(nn.Module):
    """A module within a function of it and its input."""

    def __init__(self, module, function):
        super().__init__()
        self.module, self.function = module, function

    def forward(self, x):
        return self.function(self.module, x)


def frozen_bias():
    layer = nn.Linear(6, 8)
    layer.bias.requires_grad = False
    return layer


BELOW = {
    "linear": lambda: nn.Linear(6, 8),
    "no bias": lambda: nn.Linear(6, 8, bias=False),
    "frozen bias": frozen_bias,
    "layer norm": lambda: nn.LayerNorm(6),
    "RMS norm": lambda: nn.RMSNorm(6),
    "batch norm": lambda: nn.BatchNorm1d(6),
    "conv": lambda: Call(nn.Conv1d(1, 4, 3), lambda conv, x: conv(x[:, None])),
    "LSTM": lambda: Call(nn.LSTM(6, 4), lambda lstm, x: lstm(x)[0]),
    "GRU cell": lambda: nn.GRUCell(6, 4),
    "attention": lambda: Call(nn.MultiheadAttention(6, 2), lambda attend, x: attend(x, x, x)[0]),
    "embedding": lambda: Call(nn.Embedding(9, 4), lambda embed, x: embed(x.long().clamp(0, 8))),
}


@pytest.mark.parametrize("below", BELOW.values(), ids=BELOW.keys())
def test_what_comes_down_is_seen_where_lightning_does_not_log(below):
    net, monitor = nn.Sequential(below(), Plant(where="backward")), NonFiniteGuard("stop")
    model = Plain(net, loss=lambda y, t: y.square().mean())
    with pytest.raises(FloatingPointError, match=r"step 3: first in the backward pass, in net\.1"):
        fit(model, rows(X, Y), monitor, steps=6, log_every_n_steps=50)
    assert all(bool(torch.isfinite(p).all()) for p in net.parameters())


class RuinsAWeight(Plain):
    """At step 3 one value of a weight's gradient overflows; its bias and all that comes down to it are finite."""

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())  # makes of infinity NaN

    def on_after_backward(self):
        if self.global_step == 3:
            self.net[0].weight.grad[0, 0] = math.inf


@pytest.mark.parametrize(
    ("every", "logs_every", "report"),
    [
        (None, 1, "step 3: first in the backward pass, in layer net.0"),
        (1, 50, "step 3: first in the backward pass, in layer net.0"),
        (None, 50, "step 4: .* its weight held such values already"),
    ],
)
def test_what_a_quick_check_does_not_see(every, logs_every, report):
    """A check sees it at once; in between it is seen when it has come to the loss."""
    monitor = NonFiniteGuard(every_n_steps=every)
    with pytest.warns(UserWarning, match=report):
        fit(RuinsAWeight(mlp(6, 8, 1)), rows(X, Y), monitor, steps=6, log_every_n_steps=logs_every)
    assert len(monitor.reports) == 1


def test_under_a_loss_scaler_every_gradient_is_seen():
    amp = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=8.0))
    monitor = NonFiniteGuard()
    fit(RuinsAWeight(mlp(6, 8, 1)), rows(X, Y), monitor, steps=6, log_every_n_steps=50, plugins=[amp])
    assert monitor.overflows > 0
    assert monitor.bad_steps == 0


class Branches(nn.Module):
    """The recurrent cell is first called with the data, then also with its own output; `scale` belongs to no layer."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.cell = nn.Linear(6, 4), nn.Linear(6, 4, bias=False), nn.RNNCell(6, 4)
        self.norm, self.head, self.scale = nn.LayerNorm(4), nn.Linear(4, 1), nn.Parameter(torch.ones(1))

    def forward(self, x):
        h = None
        for _ in range(3):
            h = self.cell(x, h)
        return self.head(self.norm(self.left(x) + self.right(x) + h)) * self.scale


def test_a_quick_check_takes_the_biases_at_the_bottom():
    net, monitor = Branches(), NonFiniteGuard()
    checked = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, *args):
            checked[:] = [found for parameters in monitor._bottom.values() for found in parameters]

    fit(Plain(net), rows(X, Y), monitor, Watch(), steps=3, log_every_n_steps=50)
    names = {id(p): name for name, p in net.named_parameters()}
    expected = {"left.bias", "right.weight", "cell.bias_ih", "cell.bias_hh", "scale"}
    assert {names[id(p)] for p in checked} == expected


def test_where_no_layer_is_at_the_bottom_all_gradients_are_seen():
    """The input itself wants a gradient, as in physics-informed networks."""
    net, monitor = mlp(6, 8, 1), NonFiniteGuard("stop")

    class WantsSlope(RuinsAWeight):
        def training_step(self, batch, batch_idx):
            return super().training_step((batch[0].requires_grad_(), batch[1]), batch_idx)

    with pytest.raises(FloatingPointError, match="step 3"):
        fit(WantsSlope(net), rows(X, Y), monitor, steps=6, log_every_n_steps=50)


@pytest.mark.parametrize("every", [None, 2])
def test_an_outbreak_is_reported_once_however_often_it_is_checked(every):
    monitor = NonFiniteGuard(every_n_steps=every)
    with pytest.warns(UserWarning, match=WARNING):
        guard(planted(where="backward", at=2), steps=12, guard=monitor, log_every_n_steps=4)
    assert len(monitor.reports) == 1
