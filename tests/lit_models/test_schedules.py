"""How often a schedule of the learning rate steps, and how long it is."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, CyclicLR, OneCycleLR, ReduceLROnPlateau, StepLR

from lit_models.schedules import build_scheduler
from tests.lit_models.cases import make, make_loader, make_trainer


class Watch(pl.Callback):
    """Notes the learning rate that each step is taken with."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])


def learning_rates(folder: Path, **model_options: Any) -> list[float]:
    """Learning rates of 4 epochs of 3 steps each."""
    watch, loader = Watch(), make_loader("mlp-binary")
    sgd = partial(torch.optim.SGD, lr=1.0)
    model = make("mlp-binary", **{"optimizer": sgd, **model_options})
    make_trainer(folder, max_epochs=4, callbacks=[watch]).fit(model, loader, loader)
    return watch.rates


@pytest.mark.parametrize("given", [{"max_lr": 1.0}, {}], ids=["peak given", "peak of the optimizer"])
def test_one_cycle_gets_its_length_and_its_peak_and_counts_steps(given: Any, tmp_path: Path) -> None:
    described = partial(OneCycleLR, total_steps=None, **given)
    rates = learning_rates(tmp_path, scheduler=described)
    reference_optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    reference = OneCycleLR(reference_optimizer, max_lr=1.0, total_steps=12)
    expected = []
    for _ in range(12):
        expected.append(reference.get_last_lr()[0])
        reference_optimizer.step()
        reference.step()
    assert rates == pytest.approx(expected)


def test_each_group_of_parameters_has_its_own_peak() -> None:
    groups = [{"params": nn.Linear(1, 1).parameters(), "lr": rate} for rate in (0.1, 0.02)]
    # What the command line makes of `OneCycleLR`: the class is an argument of the function that makes it.
    described = partial(lambda kind, *args, **given: kind(*args, **given), OneCycleLR, total_steps=None)
    schedule = build_scheduler(described, torch.optim.SGD(groups), lambda: 10)
    peaks = [group["max_lr"] for group in schedule.optimizer.param_groups]
    assert (schedule.total_steps, peaks) == (10, [0.1, 0.02])


def test_a_peak_that_is_a_tensor_does_not_move_with_the_rate() -> None:
    """A tensor is what `capturable` optimizers keep their rate in, and PyTorch's schedules write into it."""
    optimizer = torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=torch.tensor(0.5))
    schedule = build_scheduler(partial(OneCycleLR, total_steps=None), optimizer, lambda: 10)
    (group,) = schedule.optimizer.param_groups
    assert (group["max_lr"], float(group["lr"])) == (0.5, pytest.approx(0.02))


def test_the_triangle_of_a_cycle_ends_at_the_rate_of_the_optimizer(tmp_path: Path) -> None:
    triangle = partial(CyclicLR, base_lr=0.2, step_size_up=4, cycle_momentum=False)
    rates = learning_rates(tmp_path, scheduler=triangle)
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4, 0.2, 0.4, 0.6, 0.8])


def test_other_schedules_count_epochs(tmp_path: Path) -> None:
    rates = learning_rates(tmp_path, scheduler=partial(StepLR, step_size=1, gamma=0.5))
    assert rates == [1.0] * 3 + [0.5] * 3 + [0.25] * 3 + [0.125] * 3


def test_the_interval_can_be_chosen(tmp_path: Path) -> None:
    schedule = partial(CosineAnnealingLR, T_max=12)
    rates = learning_rates(tmp_path, scheduler=schedule, scheduler_interval="step")
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 12


def test_reduce_on_plateau_watches_the_validation_loss(tmp_path: Path) -> None:
    """Without learning nothing improves after the first epoch."""
    frozen = partial(torch.optim.SGD, lr=1e-30)
    schedule = partial(ReduceLROnPlateau, patience=0, factor=0.1, eps=0.0)
    rates = learning_rates(tmp_path, optimizer=frozen, scheduler=schedule)
    assert rates[::3] == pytest.approx([1e-30, 1e-30, 1e-31, 1e-32], rel=1e-6, abs=0)
