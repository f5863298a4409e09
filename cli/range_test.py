"""A learning-rate range test (Smith 2017, https://arxiv.org/abs/1506.01186): what is measured, and what it suggests."""

import math
from typing import Any

import numpy as np
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import LBFGS, Optimizer, Rprop

from runtime.errors import UsageError

SMOOTHING = 0.9  # of the running mean of the loss
DIVERGED = 2.0  # times the range of the losses up to their minimum
FEWEST = 10  # losses at the start, from which its level is measured
SIGNIFICANT = 2.0  # times the noise; a flat loss with normal noise falls by so much in 1 of 1,000 tests
SHARE = 0.1  # of the rate with the lowest loss


class RangeTest(Callback):
    """Raises the learning rate at every optimizer step; `rates` and `losses` hold one number per step.

    With several parameter groups, the rate is that of the group with the highest; the others keep their share of it.

    Args:
        low, high: the first and the last rate; rates between them are evenly spaced on a logarithmic scale.
        steps: number of rates.
        stops: whether a loss that has risen far above its minimum ends the test.
    """

    def __init__(self, low: float, high: float, steps: int, stops: bool = True) -> None:
        self.planned = np.geomspace(low, high, steps)
        self.stops = stops
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.group_rates: list[float] = []  # of the parameter groups, as the config sets them
        self._batches: list[float] = []  # losses since the last optimizer step

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if len(trainer.optimizers) != 1:
            raise UsageError(f"tune-lr needs a model with one optimizer, not {len(trainer.optimizers)}")
        self.group_rates = rates_of(trainer.optimizers[0])
        trainer.strategy.lr_scheduler_configs = []  # a schedule would set the rate itself

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        highest = max(self.group_rates) or 1.0
        for group, own in zip(trainer.optimizers[0].param_groups, self.group_rates, strict=True):
            rate = float(self.planned[len(self.rates)]) * (own / highest)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not isinstance(outputs, dict) or "loss" not in outputs:
            raise UsageError("tune-lr needs a training_step that returns the loss of every batch")
        self._batches.append(float(outputs["loss"]))
        if trainer.global_step == len(self.rates):
            return  # gradients are accumulated
        # The loss was measured before this step's rate took effect; the difference is one step.
        self.rates.append(float(self.planned[len(self.rates)]))
        # Lightning divides a batch's loss by the number of batches that are accumulated.
        self.losses.append(float(np.mean(self._batches)) * trainer.accumulate_grad_batches)
        self._batches = []
        if not math.isfinite(self.losses[-1]) or (self.stops and has_diverged(self.losses)):
            trainer.should_stop = True


def rates_of(optimizer: Optimizer) -> list[float]:
    """The rate of each parameter group at its peak, before a schedule lowers it.

    Raises:
        UsageError: for an optimizer whose learning rate cannot be found with this test.
    """
    name = type(optimizer).__name__
    if isinstance(optimizer, LBFGS):
        raise UsageError(
            "tune-lr does not suit LBFGS, which finds the length of its steps itself: leave lr at 1, with "
            "line_search_fn strong_wolfe"
        )
    if isinstance(optimizer, Rprop):
        raise UsageError("tune-lr does not suit Rprop, where lr is only the length of the first step")
    rates = []
    for group in optimizer.param_groups:
        rate = group.get("max_lr") or group.get("initial_lr") or group.get("lr")
        if rate is None:
            raise UsageError(f"tune-lr does not suit {name}, which chooses its learning rate itself")
        rates.append(float(rate))
    return rates


def has_diverged(losses: list[float]) -> bool:
    """Whether the smoothed loss has risen above its minimum by twice the range of the losses before.

    Nothing is divided by a loss, so losses may be negative or around 0.
    """
    smoothed = smooth(losses)
    least = int(np.argmin(smoothed))
    before = losses[: max(least, FEWEST) + 1]
    return len(losses) > FEWEST and smoothed[-1] - smoothed[least] > DIVERGED * (
        np.ptp(before) + 1e-3 * abs(losses[0])
    )


def smooth(losses: list[float], keep: float = SMOOTHING) -> np.ndarray:
    """Running mean of the losses, which forgets a tenth at every step; corrected so that it does not start at 0."""
    mean, smoothed = 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = keep * mean + (1 - keep) * loss
        smoothed.append(mean / (1 - keep**step))
    return np.array(smoothed)


def suggest(rates: list[float], losses: list[float]) -> float:
    """A tenth of the rate with the lowest smoothed loss, chosen by `benchmarks/tune_lr.py`.

    Raises:
        UsageError: if the loss never falls by more than its noise.
    """
    finite = np.isfinite(losses)
    losses = losses[: len(losses) if finite.all() else int(np.argmin(finite))]
    if len(losses) <= FEWEST:
        raise UsageError("the loss is not finite from the first steps on; check the model and the data")
    smoothed = smooth(losses)
    least = FEWEST + int(np.argmin(smoothed[FEWEST:]))
    # The median change from step to step, as the standard deviation of normal noise; a trend adds little to it.
    steps = np.abs(np.diff(losses[: max(least, len(losses) // 4) + 1]))
    noise = float(np.median(steps)) / 0.95
    start = float(np.median(losses[:FEWEST]))  # a single high loss among the first is no level to fall from
    rounding = 1e-6 * abs(start)
    if not smoothed[least] < start - SIGNIFICANT * noise - rounding:
        raise UsageError(
            f"the loss never falls in this range by more than its noise ({noise:.2g} from step to step); give a lower "
            "--low, more --steps, larger batches (or --trainer.accumulate_grad_batches 8), or check the model"
        )
    return rates[least] * SHARE
