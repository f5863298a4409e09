"""Checks that make real training steps on a copy."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.steps import (
    frozen_stay,
    gradients_are_cleared,
    optimizers_move_weights,
    units_differ,
)
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, mlp, rows

torch.manual_seed(0)
LOADER = rows(torch.randn(64, 4), torch.randn(64, 1), batch_size=8)
CLASSES = rows(torch.randn(64, 4), torch.randint(3, (64,)), batch_size=8)


class Manual(Plain):
    """Manual optimization; `clear` names when gradients are cleared: "before", "after", "never"."""

    def __init__(self, clear="before", accumulate=1, backward="manual", make_step=True):
        super().__init__(mlp(4, 3, 1))
        self.automatic_optimization = False
        self.clear, self.accumulate, self.backward_with, self.make_step = (
            clear,
            accumulate,
            backward,
            make_step,
        )

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        if self.clear == "before" and batch_idx % self.accumulate == 0:
            optimizer.zero_grad()
        loss = super().training_step(batch, batch_idx)
        loss.backward() if self.backward_with == "own" else self.manual_backward(loss)
        if self.make_step and (batch_idx + 1) % self.accumulate == 0:
            optimizer.step()
            if self.clear == "after":
                optimizer.zero_grad(set_to_none=False)


class Gan(Plain):
    """Generator and discriminator with an optimizer each. `clear` says which gradients are cleared, and when."""

    def __init__(self, clear):
        super().__init__(None)
        self.automatic_optimization = False
        self.g, self.d, self.clear = mlp(4, 8, 1), mlp(1, 8, 1), clear

    def training_step(self, batch, batch_idx):
        x, real = batch
        g_opt, d_opt = self.optimizers()
        if self.clear == "toggle":
            self.toggle_optimizer(g_opt)
        g_loss = F.softplus(-self.d(self.g(x))).mean()
        if self.clear == "before":
            g_opt.zero_grad()
        self.manual_backward(g_loss)
        g_opt.step()
        if self.clear in ("after", "toggle"):
            g_opt.zero_grad()
        if self.clear == "toggle":
            self.untoggle_optimizer(g_opt)
        d_loss = F.softplus(self.d(self.g(x).detach())).mean() + F.softplus(-self.d(real)).mean()
        if self.clear == "before":
            d_opt.zero_grad()
        self.manual_backward(d_loss)
        d_opt.step()
        if self.clear in ("after", "toggle"):
            d_opt.zero_grad()

    def configure_optimizers(self):
        return [torch.optim.Adam(each.parameters()) for each in (self.g, self.d)]


class NeverClears(Plain):
    def optimizer_zero_grad(self, epoch, batch_idx, optimizer): ...


@pytest.mark.parametrize(
    "model",
    [
        Manual("never"),
        Manual("never", backward="own"),
        Manual("never", accumulate=2),
        NeverClears(mlp(4, 3, 1)),
    ],
)
def test_an_optimizer_that_uses_its_gradients_twice(model):
    assert found(model, LOADER, gradients_are_cleared) == [("gradients are not cleared", "fail")]


def test_a_discriminator_that_uses_the_gradients_of_the_generators_loss():
    checked = examine(Gan("after"), LOADER, gradients_are_cleared)
    assert [(each.kind, each.severity) for each in checked.verdicts] == [
        ("gradients are not cleared", "warn")
    ]
    assert checked.verdicts[0].layers == ["d.0", "d.2"]


def test_a_gan_that_never_clears():
    assert ("gradients are not cleared", "fail") in found(Gan("never"), LOADER, gradients_are_cleared)


@pytest.mark.parametrize(
    "model",
    [
        Manual("before"),
        Manual("after"),
        Manual("before", accumulate=2),
        Manual("after", accumulate=2),
        Gan("before"),
        Gan("toggle"),
        Plain(mlp(4, 3, 1)),
        Plain(mlp(4, 3, 1), optimizer=torch.optim.LBFGS),
    ],
)
def test_cleared_gradients(model):
    assert not found(model, LOADER, gradients_are_cleared)


def test_gradients_accumulated_by_the_trainer():
    assert not found(Plain(mlp(4, 3, 1)), LOADER, gradients_are_cleared, accumulate_grad_batches=3)


# --- identical units ---


def filled(value, *sizes, only=None):
    net = mlp(*sizes, activation=nn.ReLU)
    for number, layer in enumerate(net):
        if isinstance(layer, nn.Linear) and only in (None, number):
            nn.init.constant_(layer.weight, value)
            nn.init.constant_(layer.bias, value)
    return net


class Residual(nn.Module):
    """x + B(A(x)): B starts at 0, as in LoRA, ReZero and zero-initialized residual branches."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.base, self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(2, 4)
        self.head, self.scale = nn.Linear(4, 3), nn.Parameter(torch.full((4,), scale))
        nn.init.zeros_(self.b.weight)
        nn.init.zeros_(self.b.bias)

    def forward(self, x):
        return self.head(self.base(x) + self.scale * self.b(self.a(x)))


@pytest.mark.parametrize(("value", "severity"), [(0.5, "fail"), (0.0, "warn")], ids=["constant", "all zero"])
def test_units_that_begin_equal_stay_equal(value, severity):
    assert found(Plain(filled(value, 4, 5, 5, 1)), LOADER, units_differ)[0] == ("identical units", severity)


@pytest.mark.parametrize(
    "net",
    [
        mlp(4, 5, 3),
        filled(0.0, 4, 5, 3, only=2),  # a head that begins at 0
        filled(0.1, 4, 5, 3, only=2),
        filled(0.0, 4, 3),  # logistic regression from 0
        Residual(),
        Residual(scale=1e-6),  # layer scale
        nn.Sequential(nn.Embedding(4, 3), nn.Flatten(), nn.Linear(12, 3)),
    ],
)
def test_units_that_become_different(net):
    loader = rows(torch.randint(4, (64, 4)), torch.randint(3, (64,)), batch_size=8)
    loader = (
        loader if isinstance(net[0] if isinstance(net, nn.Sequential) else None, nn.Embedding) else CLASSES
    )
    assert not found(Plain(net, F.cross_entropy), loader, units_differ)


# --- weights that do not move, frozen weights that move ---


def test_weights_below_the_learning_rates_reach():
    model = Plain(mlp(4, 3, 1), optimizer=lambda p: torch.optim.SGD(p, lr=1e-30))
    assert found(model, LOADER, optimizers_move_weights) == [("weights that do not move", "warn")]


def test_an_optimizer_that_makes_no_step():
    assert found(Manual(make_step=False), LOADER, optimizers_move_weights) == [
        ("weights that do not move", "info")
    ]


def test_a_warm_up_from_zero_moves_weights_later():
    class WarmUp(Plain):
        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: k / 10)]

    assert not found(WarmUp(mlp(4, 3, 1)), LOADER, optimizers_move_weights)


def frozen(how, train=True):
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    how(net)
    return Plain(net.train(train))


def attribute_of_a_module(net):
    net[0].requires_grad = False


def misspelt_attribute(net):
    for p in net[0].parameters():
        p.require_grad = False


def proper(net):
    net[0].requires_grad_(False)


def with_norm(net):
    net[0].requires_grad_(False)
    net[1].requires_grad_(False)


@pytest.mark.parametrize("how", [attribute_of_a_module, misspelt_attribute])
def test_freezing_that_has_no_effect(how):
    assert found(frozen(how), LOADER, frozen_stay) == [("frozen weights that move", "warn")]


def test_statistics_of_a_frozen_batch_norm():
    assert found(frozen(with_norm), LOADER, frozen_stay) == [("frozen weights that move", "info")]


@pytest.mark.parametrize(("how", "train"), [(proper, True), (with_norm, False)])
def test_frozen_parts_that_stay(how, train):
    assert not found(frozen(how, train), LOADER, frozen_stay)
