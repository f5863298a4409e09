"""Checks that loss, parameters and optimizer belong together."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.cut import every_layer_is_used
from callbacks.checkup.checks.wiring import (
    more_than_norms_train,
    optimizer_has_all,
    optimizer_has_no_others,
)
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, mlp, rows

LOADER = rows(torch.randn(64, 4), torch.randn(64, 1), batch_size=16)


class Owning(Plain):
    """`owned(model)` gives the parameters for the optimizer."""

    def __init__(self, net, owned):
        super().__init__(net)
        self.owned = owned

    def configure_optimizers(self):
        return torch.optim.SGD(self.owned(self), lr=0.1)


def without(number):
    return lambda model: [p for k, part in enumerate(model.net) if k != number for p in part.parameters()]


class InList(Plain):
    def __init__(self, container):
        super().__init__(nn.Linear(4, 3))
        self.more = container([nn.Linear(3, 3), nn.Linear(3, 1)])

    def forward(self, x):
        x = self.net(x)
        for layer in self.more:
            x = layer(x)
        return x


@pytest.mark.parametrize("number", [2, 4], ids=["middle", "head"])
def test_a_layer_that_the_optimizer_lacks(number):
    checked = examine(Owning(mlp(4, 3, 3, 1), without(number)), LOADER, optimizer_has_all)
    (verdict,) = checked.verdicts
    assert (verdict.kind, verdict.severity) == ("parameters missing from the optimizer", "fail")
    assert verdict.layers == [f"net.{number}"]


def test_a_backbone_may_be_left_out_of_the_optimizer():
    model = Owning(mlp(4, 3, 3, 1), lambda model: model.net[4].parameters())
    assert found(model, LOADER, optimizer_has_all) == [("parameters missing from the optimizer", "info")]


class PerceptualLoss(Plain):
    """The loss compares what a fixed network, which was not frozen, makes of prediction and target."""

    def __init__(self):
        super().__init__(mlp(4, 3, 1))
        self.judge = mlp(1, 5, 2).eval()

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.mse_loss(self.judge(self(x)), self.judge(y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.net.parameters(), lr=0.1)


def test_a_fixed_network_in_eval_mode_may_be_left_out():
    assert found(PerceptualLoss(), LOADER, optimizer_has_all) == [
        ("parameters missing from the optimizer", "info")
    ]


def test_layers_in_a_python_list():
    assert ("layers not registered", "fail") in found(InList(list), LOADER, optimizer_has_all)


@pytest.mark.parametrize(
    "model", [InList(nn.ModuleList), Plain(mlp(4, 3, 1)), Owning(mlp(4, 3, 1), lambda m: m.parameters())]
)
def test_everything_in_its_place(model):
    checks = (optimizer_has_all, optimizer_has_no_others, more_than_norms_train, every_layer_is_used)
    checked = examine(model, LOADER, *checks)
    assert not checked.verdicts
    assert not checked.why_not


# --- optimizer holds other tensors ---


@pytest.mark.parametrize(
    ("owned", "severity"),
    [
        (lambda model: copy.deepcopy(model.net).parameters(), "fail"),
        (lambda model: [*model.parameters(), nn.Parameter(torch.ones(3))], "warn"),
    ],
    ids=["another copy", "one more"],
)
def test_tensors_of_nobody(owned, severity):
    assert found(Owning(mlp(4, 3, 1), owned), LOADER, optimizer_has_no_others) == [
        ("optimizer holds other tensors", severity)
    ]


class OptimizesATensor(Plain):
    """Trains a plain tensor that the module does not register, as in style transfer."""

    def __init__(self):
        super().__init__(mlp(4, 3, 1))
        self.shift = torch.zeros(4, requires_grad=True)

    def forward(self, x):
        return self.net(x + self.shift)

    def configure_optimizers(self):
        return torch.optim.SGD([*self.parameters(), self.shift], lr=0.1)


def test_a_tensor_that_the_loss_reaches():
    assert not found(OptimizesATensor(), LOADER, optimizer_has_no_others, optimizer_has_all)


# --- only normalization layers train ---


def only_norms(filtered):
    net = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 1))
    for part in (net[0], net[2]):
        part.requires_grad_(False)
    return Plain(net) if filtered else Owning(net, lambda model: model.parameters())


@pytest.mark.parametrize(("filtered", "severity"), [(False, "warn"), (True, "info")])
def test_only_norms_train(filtered, severity):
    assert found(only_norms(filtered), LOADER, more_than_norms_train) == [
        ("only normalization layers train", severity)
    ]


def test_a_new_head_on_a_frozen_network():
    net = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 1))
    net[0].requires_grad_(False)
    assert not found(Plain(net), LOADER, more_than_norms_train)


# --- unused layers ---


class WithMore(Plain):
    """Has more layers than it uses."""

    def __init__(self, more):
        super().__init__(mlp(4, 3, 1))
        self.more = more


def test_a_layer_that_nothing_calls():
    assert found(WithMore(nn.Linear(3, 3)), LOADER, every_layer_is_used) == [("unused layers", "info")]


class Functional(Plain):
    """Uses the weights of a module that it never calls."""

    def forward(self, x):
        return F.linear(x, self.net.weight, self.net.bias)


@pytest.mark.parametrize(
    "model",
    [
        WithMore(nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])),  # experts
        WithMore(nn.Linear(3, 3).requires_grad_(False)),
        WithMore(nn.Dropout()),
        Functional(nn.Linear(4, 1)),
    ],
)
def test_layers_that_need_no_call(model):
    assert not found(model, LOADER, every_layer_is_used)
