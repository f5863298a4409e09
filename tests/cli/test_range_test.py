"""The range test, against problems whose largest rate is known, and the rule, against curves made by hand."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader, TensorDataset

from cli.range_test import RangeTest, has_diverged, rates_of, smooth, suggest
from cli.tune_lr import train_through_range
from runtime.errors import UsageError
from tests.cli.parabola import PARABOLA


class Bowl(pl.LightningModule):
    """Two numbers with the loss `offset + (a^2 + b^2) / 2`, in two parameter groups."""

    def __init__(self, offset: float = 0.0, rates: tuple[float, float] = (0.1, 0.1)) -> None:
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.ones(())) for _ in range(2))
        self.offset, self.rates = offset, rates

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.offset + (self.a**2 + self.b**2) / 2

    def configure_optimizers(self) -> Optimizer:
        parts = zip((self.a, self.b), self.rates, strict=True)
        return SGD([{"params": [part], "lr": rate} for part, rate in parts])


def measure(model: pl.LightningModule, test: RangeTest, **options: Any) -> RangeTest:
    """Train on eight empty batches per epoch."""
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_steps=len(test.planned),
        callbacks=[test],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(model, DataLoader(TensorDataset(torch.zeros(8, 1))))
    return test


def test_gradient_descent_on_a_parabola_runs_away_above_two_over_the_curvature(tmp_path: Path) -> None:
    test = RangeTest(1e-3, 100.0, 100)
    train_through_range(PARABOLA, test, tmp_path)
    steps = zip(test.rates, pairwise(test.losses), strict=False)
    growing = [rate for rate, (before, after) in steps if after > 1.5 * before]
    assert growing[0] > 1.0
    assert 1.0 < test.rates[-1] < 10.0  # stopped soon after
    assert 0.01 < suggest(test.rates, test.losses) < 1.0


def test_each_step_trains_with_its_own_rate_whatever_the_schedule(tmp_path: Path) -> None:
    """One weight of gradient descent by hand: w falls by rate times gradient, and the loss is known at every w."""
    schedule = [
        "--model.scheduler=OneCycleLR",
        "--model.scheduler.max_lr=0.5",
        "--model.scheduler.cycle_momentum=false",
    ]
    test = RangeTest(1e-3, 1.0, 30)
    train_through_range([*PARABOLA, *schedule], test, tmp_path)
    assert test.rates == pytest.approx(np.geomspace(1e-3, 1.0, 30))
    assert test.group_rates == [0.5]
    least = min(test.losses)
    above = [test.losses[0] - least]
    for rate in test.rates[:9]:  # the distance from the least loss shrinks by (1 - 2 rate)^2
        above.append(above[-1] * (1 - 2 * rate) ** 2)
    assert [loss - least for loss in test.losses[:10]] == pytest.approx(above, rel=1e-3)


@pytest.mark.parametrize("accumulated", [1, 3, 4])
def test_a_step_of_several_batches_has_one_rate_and_one_loss(accumulated: int) -> None:
    """The epoch has eight batches, so its last step may have fewer than three."""
    test = measure(Bowl(), RangeTest(1e-3, 1.0, 25), accumulate_grad_batches=accumulated)
    assert len(test.rates) == len(test.losses) == 25
    if accumulated != 3:
        once = measure(Bowl(), RangeTest(1e-3, 1.0, 25))
        assert test.losses == pytest.approx(once.losses, rel=1e-4)


def test_parameter_groups_keep_their_share_of_the_rate() -> None:
    model = Bowl(rates=(0.4, 0.1))
    test = measure(model, RangeTest(1e-3, 0.5, 20))
    assert test.group_rates == [0.4, 0.1]
    by_hand = [math.prod(1 - rate * share for rate in test.rates) for share in (1, 1 / 4)]
    assert [float(model.a), float(model.b)] == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("offset", [0.0, -1.0, -1000.0, 1000.0])
def test_an_offset_of_the_loss_changes_nothing(offset: float) -> None:
    """Losses around 0 and below ended the test as soon as they got there."""
    test = measure(Bowl(offset), RangeTest(1e-4, 100.0, 120))
    assert 2.0 < test.rates[-1] < 50.0
    assert 0.02 < suggest(test.rates, test.losses) < 2.0  # it runs away above 2


def test_a_rate_that_is_a_tensor_is_set_in_place() -> None:
    class Capturable(Bowl):
        def configure_optimizers(self) -> Optimizer:
            return SGD(self.parameters(), lr=torch.tensor(0.1))

    test = measure(Capturable(), RangeTest(1e-3, 0.5, 20))
    assert test.losses[-1] < 0.5 * test.losses[0]


def test_a_step_without_a_loss_is_refused() -> None:
    class Silent(Bowl):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return None

    with pytest.raises(UsageError, match="returns the loss of every batch"):
        measure(Silent(), RangeTest(1e-3, 0.5, 20))


@pytest.mark.parametrize(
    ("name", "said"), [("LBFGS", "leave lr at 1"), ("Rprop", "length of the first step")]
)
def test_an_optimizer_that_finds_its_own_steps_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        rates_of(getattr(torch.optim, name)([nn.Parameter(torch.ones(2))]))


def curve(noise: float, offset: float = 0.0, seed: int = 0) -> tuple[list[float], list[float]]:
    """Rates and losses: a fall by 1 around 10^-2.5, and a rise from 0.3 on."""
    rates = np.geomspace(1e-6, 10, 200)
    fall = 1 / (1 + (rates / 10**-2.5) ** 2)
    losses = fall + (rates / 0.5) ** 3 + offset + np.random.default_rng(seed).normal(0, noise, 200)
    return rates.tolist(), losses.tolist()


@pytest.mark.parametrize("offset", [0.0, -5.0])
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.3])
def test_the_suggestion_is_a_tenth_of_the_rate_at_the_minimum(noise: float, offset: float) -> None:
    for seed in range(20):
        assert 0.002 < suggest(*curve(noise, offset, seed)) < 0.05


def test_a_noisy_start_does_not_count_as_a_fall() -> None:
    """Before, the first rate was suggested if the second loss happened to be lower."""
    rates, losses = curve(0.05)
    losses[0] += 3.0
    assert suggest(rates, losses) > 0.002
    generator = np.random.default_rng(0)
    for _ in range(50):
        flat = generator.normal(1.0, 0.2, 200).tolist()
        with pytest.raises(UsageError, match="never falls in this range by more than its noise"):
            suggest(rates, flat)
    for _ in range(50):  # one untypical batch at the start, after which nothing falls
        first, *flat = generator.normal(1.0, 0.2, 200).tolist()
        with pytest.raises(UsageError, match="never falls"):
            suggest(rates, [first + 30.0, *flat])
    with pytest.raises(UsageError, match="never falls"):
        suggest(rates, [1.0 + rate for rate in rates])
    for constant in (0.0, 1.0, -0.7):
        with pytest.raises(UsageError, match="never falls"):
            suggest(rates, [constant] * 200)


@pytest.mark.parametrize("end", [math.nan, math.inf])
def test_what_is_not_finite_ends_the_curve(end: float) -> None:
    rates, losses = curve(0.0)
    assert suggest(rates[:181], [*losses[:180], end]) == suggest(rates[:180], losses[:180])
    with pytest.raises(UsageError, match="not finite from the first steps on"):
        suggest(rates[:3], [1.0, 1.0, end])


def test_noise_alone_does_not_end_the_test() -> None:
    generator = np.random.default_rng(0)
    for center in (0.0, 1.0, -1.0):
        losses = generator.normal(center, 1.0, 200).tolist()
        assert not any(has_diverged(losses[:count]) for count in range(1, 201))
        assert has_diverged([*losses, *[center + 100.0] * 5])


def test_smoothing_leaves_a_constant_as_it_is() -> None:
    assert smooth([3.0] * 5) == pytest.approx([3.0] * 5)
