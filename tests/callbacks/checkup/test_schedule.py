"""Checks of learning rates and schedules."""

import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch.optim import lr_scheduler

from callbacks.checkup.checks.schedule import (
    learning_rates_are_above_zero,
    schedule_fits_the_training,
    scheduler_is_stepped_once,
)
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, mlp, rows

LOADER = rows(torch.randn(80, 4), torch.randn(80, 1), batch_size=4)  # 20 batches
EPOCHS, STEPS = 50, 1000


class Scheduled(Plain):
    """With a scheduler, called once per epoch (Lightning's default) or per step; it may call it itself, too."""

    def __init__(self, scheduler, interval="epoch", calls_it=False, manual=False, lr=0.1):
        super().__init__(mlp(4, 3, 1), optimizer=lambda p: torch.optim.SGD(p, lr=lr))
        self.make, self.interval, self.calls_it = scheduler, interval, calls_it
        self.automatic_optimization = not manual

    def training_step(self, batch, batch_idx):
        if self.calls_it:
            self.lr_schedulers().step()
        loss = super().training_step(batch, batch_idx)
        if not self.automatic_optimization:
            self.manual_backward(loss)
            self.optimizers().step()
        return loss

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        config = {"scheduler": self.make(optimizer), "interval": self.interval, "monitor": "loss"}
        return {"optimizer": optimizer, "lr_scheduler": config}


def cosine(length):
    return lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, length)


def one_cycle(length):
    return lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=length)


def linear_decay(length, warmup=0):
    """As get_linear_schedule_with_warmup of transformers."""

    def factor(k):
        return k / warmup if k < warmup else max(0.0, (length - k) / (length - warmup))

    return lambda optimizer: lr_scheduler.LambdaLR(optimizer, factor)


def decay(gamma):
    return lambda optimizer: lr_scheduler.ExponentialLR(optimizer, gamma)


def milestones(*at):
    return lambda optimizer: lr_scheduler.MultiStepLR(optimizer, at)


def warm_up_then_cosine(warmup, length):
    def make(optimizer):
        parts = [
            lr_scheduler.LinearLR(optimizer, 0.01, total_iters=warmup),
            lr_scheduler.CosineAnnealingLR(optimizer, length - warmup),
        ]
        return lr_scheduler.SequentialLR(optimizer, parts, [warmup])

    return make


def restarts(optimizer):
    return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 5)


def plateau(optimizer):
    return lr_scheduler.ReduceLROnPlateau(optimizer)


WRONG_UNIT = "schedule counted in the wrong unit"


@pytest.mark.parametrize(
    ("scheduler", "interval", "verdict"),
    [
        (cosine(EPOCHS), "step", (WRONG_UNIT, "warn")),
        (cosine(STEPS), "epoch", (WRONG_UNIT, "warn")),
        (one_cycle(STEPS), "epoch", (WRONG_UNIT, "warn")),
        (one_cycle(EPOCHS), "step", (WRONG_UNIT, "fail")),
        (linear_decay(EPOCHS), "step", (WRONG_UNIT, "warn")),
        (linear_decay(STEPS, warmup=100), "epoch", (WRONG_UNIT, "warn")),
        (milestones(10, 20, 40), "step", ("schedule ends too early", "warn")),
        (decay(0.9), "step", ("schedule ends too early", "warn")),
        (decay(0.2), "epoch", ("schedule ends too early", "warn")),
    ],
)
def test_schedules_that_do_not_fit(scheduler, interval, verdict):
    model = Scheduled(scheduler, interval)
    assert found(model, LOADER, schedule_fits_the_training, max_epochs=EPOCHS) == [verdict]


@pytest.mark.parametrize(
    ("scheduler", "interval"),
    [
        (cosine(EPOCHS), "epoch"),
        (cosine(STEPS), "step"),
        (one_cycle(STEPS), "step"),
        (one_cycle(EPOCHS), "epoch"),
        (linear_decay(STEPS, warmup=100), "step"),
        (linear_decay(EPOCHS, warmup=5), "epoch"),
        (warm_up_then_cosine(100, STEPS), "step"),
        (warm_up_then_cosine(5, EPOCHS), "epoch"),
        (restarts, "epoch"),
        (restarts, "step"),
        (milestones(20, 40), "epoch"),
        (decay(0.97), "epoch"),
        (decay(0.999), "step"),
    ],
)
def test_schedules_that_fit(scheduler, interval):
    checked = examine(Scheduled(scheduler, interval), LOADER, schedule_fits_the_training, max_epochs=EPOCHS)
    assert not checked.verdicts
    assert not checked.why_not


def test_a_length_in_steps_with_gradient_accumulation():
    model = Scheduled(one_cycle(250), "step")
    assert not found(model, LOADER, schedule_fits_the_training, max_epochs=EPOCHS, accumulate_grad_batches=4)


@pytest.mark.parametrize(
    ("scheduler", "kwargs", "reason"),
    [
        (plateau, {}, "measured value"),
        (cosine(10), {"max_epochs": -1}, "the end is not known"),
        (cosine(10), {"callbacks": [EarlyStopping("loss")]}, "earlier than planned"),
    ],
)
def test_what_a_dry_run_cannot_follow(scheduler, kwargs, reason):
    checked = examine(Scheduled(scheduler), LOADER, schedule_fits_the_training, **kwargs)
    assert not checked.verdicts
    assert reason in checked.why_not[0]


@pytest.mark.parametrize("make", [cosine(STEPS), one_cycle(STEPS), warm_up_then_cosine(100, STEPS)])
def test_a_dry_run_leaves_the_schedulers_as_they_were(make):
    model = Scheduled(make, "step")
    first, second = [], []
    for notes in (first, second):

        def note(subject, notes=notes):
            groups = [dict(g, params=0) for o in subject.still.optimizers for g in o.param_groups]
            notes.append((groups, [s.state_dict() for s in subject.still.schedulers]))
            schedule_fits_the_training(subject)
            notes.append((groups, [s.state_dict() for s in subject.still.schedulers]))
            return []

        examine(model, LOADER, note, max_epochs=EPOCHS)
        assert str(notes[0]) == str(notes[1])


# --- stepped twice ---


def test_a_scheduler_that_both_call():
    assert found(Scheduled(cosine(STEPS), calls_it=True), LOADER, scheduler_is_stepped_once) == [
        ("schedule stepped twice", "warn")
    ]


@pytest.mark.parametrize(
    "model",
    [
        Scheduled(cosine(STEPS)),
        Scheduled(cosine(STEPS), "step"),
        Scheduled(cosine(STEPS), calls_it=True, manual=True),
    ],
)
def test_a_scheduler_that_one_calls(model):
    assert not found(model, LOADER, scheduler_is_stepped_once)


# --- learning rate is 0 ---


class Groups(Plain):
    def __init__(self, first, last, set_by_hand=False):
        super().__init__(mlp(4, 3, 1))
        self.rates, self.set_by_hand = (first, last), set_by_hand

    def training_step(self, batch, batch_idx):
        if self.set_by_hand:
            for group in self.optimizers().param_groups:
                group["lr"] = 0.1
        return super().training_step(batch, batch_idx)

    def configure_optimizers(self):
        parts = zip((self.net[0], self.net[2]), self.rates, strict=True)
        return torch.optim.SGD([{"params": part.parameters(), "lr": lr} for part, lr in parts])


@pytest.mark.parametrize(
    ("model", "severity"),
    [(Groups(0.0, 0.0), "fail"), (Groups(0.1, 0.0), "warn"), (Groups(0.0, 0.1), "info")],
    ids=["all", "head", "backbone"],
)
def test_a_learning_rate_of_zero(model, severity):
    assert found(model, LOADER, learning_rates_are_above_zero) == [("learning rate is 0", severity)]


@pytest.mark.parametrize(
    "model",
    [
        Groups(0.1, 0.2),
        Groups(0.0, 0.0, set_by_hand=True),
        Scheduled(linear_decay(STEPS, warmup=100), "step"),
    ],
)
def test_learning_rates_above_zero(model):
    assert not found(model, LOADER, learning_rates_are_above_zero)


def test_a_schedule_that_leaves_the_rate_at_0():
    """A warm-up with // for /: 0 in every step of the training."""

    def warm_up(optimizer):
        return lr_scheduler.LambdaLR(optimizer, lambda k: k // STEPS)

    assert found(Scheduled(warm_up, "step"), LOADER, learning_rates_are_above_zero) == [
        ("learning rate is 0", "fail")
    ]
