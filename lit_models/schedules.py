"""What a learning-rate schedule needs from the rest of the training: its length, the optimizer's rate, a metric.

A schedule of one's own is a class or function in any file; the arguments in `LENGTHS` are filled in.
"""

import inspect
import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

from pytorch_lightning.cli import LRSchedulerCallable
from pytorch_lightning.cli import ReduceLROnPlateau as PlateauOfMetric
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import CyclicLR, LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

# These count steps and move the learning rate up and down; their peak, `max_lr`, is the optimizer's rate.
CYCLES = (OneCycleLR, CyclicLR)
# Arguments that mean the length of the training, in the unit that the schedule counts. The last is HuggingFace's.
LENGTHS = ("T_max", "total_length", "total_steps", "num_training_steps")


class WithoutPeak(Protocol):
    """Makes a schedule from an optimizer and a peak.

    The command line requires in a config every argument that PyTorch's class requires, except the ones named here.
    """

    def __call__(self, optimizer: Optimizer, max_lr: Any) -> LRScheduler:
        """The schedule of this optimizer."""


class WithoutMetric(Protocol):
    """Makes a schedule from an optimizer and the name of the metric that it follows; see `WithoutPeak`."""

    def __call__(self, optimizer: Optimizer, monitor: Any) -> LRScheduler:
        """The schedule of this optimizer."""


class WithoutLength(Protocol):
    """Makes a schedule from an optimizer and the length of the training, by any of its names; see `WithoutPeak`."""

    def __call__(
        self, optimizer: Optimizer, T_max: Any, total_length: Any, total_steps: Any, num_training_steps: Any
    ) -> LRScheduler:
        """The schedule of this optimizer."""


SchedulerCallable: TypeAlias = LRSchedulerCallable | WithoutPeak | WithoutMetric | WithoutLength


def build_scheduler(
    factory: SchedulerCallable, optimizer: Optimizer, length: Callable[[], int]
) -> LRScheduler | ReduceLROnPlateau:
    """The schedule of this optimizer, with missing arguments filled in.

    Args:
        factory: a class or function, or a `functools.partial` of one, as the command line makes it.
        optimizer: the rate of each parameter group is the `max_lr` of OneCycleLR and CyclicLR.
        length: gives the length of the training, in the unit that the schedule counts; called only if it is missing.
    """
    given = getattr(factory, "keywords", {})
    filled_in: dict[str, Any] = {}
    if given.get("epochs") is None:  # of OneCycleLR, whose length is then `epochs` times `steps_per_epoch`
        filled_in = {name: length() for name in missing_lengths(factory)}
    if makes(factory, CYCLES) and given.get("max_lr") is None:
        filled_in["max_lr"] = [float(group["lr"]) for group in optimizer.param_groups]
    if makes(factory, PlateauOfMetric) and given.get("monitor") is None:
        filled_in["monitor"] = "val/loss"
    return factory(optimizer, **filled_in)


def counts_steps(factory: SchedulerCallable) -> bool:
    """Whether a schedule is made to step after every batch: a cycle, or one with an argument such as `warmup_steps`."""
    return makes(factory, CYCLES) or any(name.endswith("_steps") for name in arguments(factory))


def missing_lengths(factory: SchedulerCallable) -> list[str]:
    """Names of the arguments that mean the length of the training and were left out, or are None."""
    given = getattr(factory, "keywords", {})
    return [
        name
        for name, argument in arguments(factory).items()
        if name in LENGTHS and given.get(name) is None and argument.default in (None, argument.empty)
    ]


def arguments(factory: Any) -> dict[str, inspect.Parameter]:
    """The arguments of the class or function behind a factory; the command line wraps it as an argument of another."""
    while isinstance(factory, partial):
        factory = next((part for part in reversed(factory.args) if callable(part)), factory.func)
    try:
        return dict(inspect.signature(factory).parameters)
    except (TypeError, ValueError):  # written in C
        return {}


def makes(factory: Any, classes: type | tuple[type, ...]) -> bool:
    """Whether it makes one of these classes; the command line wraps the class as an argument of a function."""
    parts = (factory, getattr(factory, "func", None), *getattr(factory, "args", ()))
    return any(isinstance(part, type) and issubclass(part, classes) for part in parts)


def warmup_cosine(
    optimizer: Optimizer, warmup_steps: int = 0, total_steps: int | None = None, least: float = 0.0
) -> LambdaLR:
    """A linear warm-up, then half a cosine (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983).

    Step number s, from 0, is taken with the optimizer's rate times (s + 1) / warmup_steps while s < warmup_steps, then
    times least + (1 - least) (1 + cos(pi t)) / 2, with t = (s - warmup_steps) / (total_steps - warmup_steps).

    Args:
        optimizer: each parameter group keeps its share of the rate.
        warmup_steps: of the optimizer.
        total_steps: length of the training; filled in.
        least: the share of the rate at the end.

    Raises:
        ValueError: for a warm-up of less than 0 steps, and without a length.
    """
    if warmup_steps < 0 or total_steps is None:
        raise ValueError(
            f"warmup_steps is {warmup_steps} and total_steps {total_steps}; both must be at least 0"
        )
    if warmup_steps >= total_steps > 1:  # one step is a rehearsal
        rank_zero_warn(
            f"the warm-up of {warmup_steps} steps is as long as the training, {total_steps} steps: no step is taken with "
            "the rate that was asked for; train longer, or give fewer --model.scheduler.warmup_steps"
        )

    def share(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        return least + (1 - least) * (1 + math.cos(math.pi * done)) / 2

    schedule = LambdaLR(optimizer, share)
    vars(schedule)["total_steps"] = (
        total_steps  # in the checkpoint, like OneCycleLR's: a longer training has another curve
    )
    return schedule


class SequentialLR(lr_scheduler.SequentialLR):
    """PyTorch's SequentialLR with parts that are described in a config: one schedule after the other.

    Args:
        optimizer: of all parts.
        schedulers: what makes them; a `T_max` that is left out is the time from a part's beginning to its end.
        milestones: where the second and the following parts begin, counted in epochs, or in steps with
            `scheduler_interval: step`.
        total_length: of the training, in the same unit; filled in.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[SchedulerCallable],
        milestones: list[int],
        total_length: int | None = None,
    ) -> None:
        ends = [0, *milestones, milestones[-1] if total_length is None else total_length]
        lengths = [max(1, end - begin) for begin, end in pairwise(ends)]
        parts = [
            build_scheduler(make, optimizer, partial(int, length))
            for make, length in zip(schedulers, lengths, strict=True)
        ]
        super().__init__(optimizer, parts, milestones)


class ChainedScheduler(lr_scheduler.ChainedScheduler):
    """PyTorch's ChainedScheduler with parts that are described in a config: their factors are multiplied.

    Args:
        optimizer: of all parts.
        schedulers: what makes them.
        total_length: of the training, in the unit that the schedule counts; filled in.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[SchedulerCallable], total_length: int | None = None
    ) -> None:
        parts = [build_scheduler(make, optimizer, lambda: total_length or 1) for make in schedulers]
        super().__init__(parts)
