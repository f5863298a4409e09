"""Gradients that are not cleared and layers left in eval mode are found; what resembles them on purpose is not."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks import Diagnosis
from tests.callbacks.plain import Plain, fit, rows

G = torch.Generator().manual_seed(3)
X = torch.randn(96, 6, generator=G)
Y = (X[:, 0] > 0).long()


def found(kind, kinds, steps=30, optimizer=None, **settings):
    """The findings of these kinds, by kind."""
    diagnosis = Diagnosis(every_n_steps=4)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2))
    model = kind(net, F.cross_entropy, optimizer=optimizer or (lambda p: torch.optim.SGD(p, lr=0.01)))
    fit(model, rows(X, Y, batch_size=32), diagnosis, steps=steps, val=rows(X, Y), **settings)
    return {verdict.kind: verdict for verdict in diagnosis.verdicts if verdict.kind in kinds}


# --- gradients are not cleared ---


class NeverClears(Plain):
    def optimizer_zero_grad(self, epoch, batch_idx, optimizer): ...


class ToZero(Plain):
    def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
        optimizer.zero_grad(set_to_none=False)


class Manual(Plain):
    """Manual optimization over `every` batches."""

    clears, every = True, 1

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        self.manual_backward(super().training_step(batch, batch_idx))
        if (batch_idx + 1) % self.every == 0:
            self.optimizers().step()
            if self.clears:
                self.optimizers().zero_grad()


class ManualNeverClears(Manual):
    clears = False


class ManualAccumulation(Manual):
    every = 3


class PlainBackward(Manual):
    """Backward passes that Lightning does not see."""

    def manual_backward(self, loss, *args, **kwargs):
        loss.backward()


class GAN(Plain):
    """Two optimizers; the gradients of one are left from the other's backward pass until it clears them."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.automatic_optimization = False
        self.generator, self.critic = nn.Linear(4, 6), nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        real, fake = batch[0], self.generator(torch.randn(32, 4))
        one, zero = torch.ones(len(real), 1), torch.zeros(32, 1)
        generating, criticizing = self.optimizers()
        criticizing.zero_grad()
        loss = F.binary_cross_entropy_with_logits
        self.manual_backward(loss(self.critic(real), one) + loss(self.critic(fake.detach()), zero))
        criticizing.step()
        generating.zero_grad()
        self.manual_backward(loss(self.critic(fake), torch.ones(32, 1)))
        generating.step()

    def configure_optimizers(self):
        return [torch.optim.Adam(part.parameters(), lr=1e-3) for part in (self.generator, self.critic)]


NOT_CLEARED = ["gradients are not cleared"]


@pytest.mark.parametrize("kind", [NeverClears, ManualNeverClears])
def test_gradients_that_are_not_cleared(kind):
    assert "the gradients of the step before" in found(kind, NOT_CLEARED)[NOT_CLEARED[0]].message


@pytest.mark.parametrize("kind", [Plain, ToZero, Manual, ManualAccumulation, PlainBackward, GAN])
def test_cleared_gradients(kind):
    assert not found(kind, NOT_CLEARED)


def test_accumulation_and_several_closures_are_no_alarm():
    assert not found(Plain, NOT_CLEARED, accumulate_grad_batches=3, steps=12)
    assert not found(Plain, NOT_CLEARED, optimizer=lambda p: torch.optim.LBFGS(p, max_iter=3), steps=12)


# --- layers in eval mode ---


class LeftInEval(Plain):
    def on_train_batch_end(self, *args):
        if self.global_step == 10:
            self.eval()


class StepInEval(Plain):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.net[2].eval()
        return loss


class FrozenStatistics(Plain):
    def on_train_batch_start(self, batch, batch_idx):
        self.net[1].eval()


class FrozenBackbone(Plain):
    def on_train_epoch_start(self):
        if self.current_epoch == 1:
            self.net[:3].requires_grad_(False).eval()


class Teacher(Plain):
    """A copy that is in eval mode from the start, as an average of weights or a teacher is."""

    def on_fit_start(self):
        self.teacher = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 2)).eval()


MODES = ["layers in eval mode"]


def test_layers_in_eval_mode():
    verdict = found(LeftInEval, MODES)[MODES[0]]
    assert (verdict.severity, verdict.layers) == ("warn", ["net.2", "net.1"])
    assert verdict.message.startswith("the whole network")
    assert found(StepInEval, MODES)[MODES[0]].layers == ["net.2"]


def test_eval_mode_on_purpose():
    assert not found(Plain, MODES)
    assert not found(Teacher, MODES)
    assert {each.severity for each in found(FrozenStatistics, MODES).values()} <= {"info"}


class Averaging(Plain):
    """Keeps an average of its weights; without `no_grad`, it keeps the graph of all steps, too."""

    def __init__(self, with_grad):
        super().__init__(nn.Linear(4, 1))
        self.with_grad = with_grad
        self.average = nn.Linear(4, 1).requires_grad_(False)

    def on_train_batch_end(self, *args):
        with torch.set_grad_enabled(self.with_grad):
            for mean, weight in zip(self.average.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(weight, 0.1)


@pytest.mark.parametrize("with_grad", [True, False])
def test_an_average_of_weights_that_keeps_a_graph(with_grad):
    diagnosis = Diagnosis(every_n_steps=1)
    fit(Averaging(with_grad), rows(torch.randn(16, 4), torch.randn(16, 1)), diagnosis, steps=6)
    assert ("weights that keep a graph" in {each.kind for each in diagnosis.verdicts}) is with_grad
