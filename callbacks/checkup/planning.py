"""How long a training will be, and what its schedulers will do until then."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning.callbacks import EarlyStopping, Timer
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch.optim import lr_scheduler

from callbacks.checkup.copying import CannotCheckError, DoesNotApplyError
from callbacks.checkup.subject import Subject


class Plan:
    """What the Trainer plans: `epochs`, optimizer `steps`, steps per epoch, and whether a callback may end it earlier.

    Raises:
        CannotCheckError: if the end is not known.
    """

    def __init__(self, trainer: Any) -> None:
        self.may_end_earlier = any(isinstance(each, EarlyStopping | Timer) for each in trainer.callbacks)
        batches = trainer.num_training_batches
        if not math.isfinite(batches) or batches < 1:
            raise CannotCheckError("the length of the training loader is not known")
        self.per_epoch = math.ceil(batches / trainer.accumulate_grad_batches)
        by_epochs = trainer.max_epochs * self.per_epoch if (trainer.max_epochs or -1) > 0 else math.inf
        by_steps = trainer.max_steps if trainer.max_steps > 0 else math.inf
        if by_epochs == by_steps == math.inf:
            raise CannotCheckError("neither max_epochs nor max_steps is set, so the end is not known")
        self.steps = int(min(by_epochs, by_steps))
        self.epochs = math.ceil(self.steps / self.per_epoch)

    def calls(self, config: Any) -> int:
        """How often Lightning calls a scheduler in all; the last one changes nothing."""
        return (self.steps if config.interval == "step" else self.epochs) // max(1, config.frequency)


def schedulers_of(subject: Subject) -> list[tuple[Any, Any]]:
    """Each scheduler's config, and the scheduler's copy.

    Raises:
        CannotCheckError: if there is none that Lightning calls and a dry run can follow.
    """
    configs = subject.trainer.lr_scheduler_configs
    if not configs:
        raise DoesNotApplyError("there is no learning rate scheduler")
    if not subject.module.automatic_optimization:
        raise CannotCheckError("with manual optimization the module itself calls its schedulers")
    if is_overridden("lr_scheduler_step", subject.module):
        raise CannotCheckError("the module has an lr_scheduler_step of its own")
    pairs = zip(configs, subject.still.schedulers, strict=True)
    usable = [(config, scheduler) for config, scheduler in pairs if _can_be_followed(config, scheduler)]
    if not usable:
        raise CannotCheckError("the schedule depends on a measured value, or is not one of torch's")
    return usable


def _can_be_followed(config: Any, scheduler: Any) -> bool:
    plateau = config.reduce_on_plateau or isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
    return isinstance(scheduler, lr_scheduler.LRScheduler) and not plateau


@contextlib.contextmanager
def _restored(scheduler: Any) -> Iterator[None]:
    """Afterwards the scheduler, its parts and its optimizer's groups are as they were."""
    parts = [scheduler, *parts_of(scheduler)]
    groups = scheduler.optimizer.param_groups
    saved = [{k: v for k, v in vars(part).items() if not _refers(v)} for part in parts]
    saved = copy.deepcopy(saved)
    rates = [
        {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in g.items() if k != "params"}
        for g in groups
    ]
    try:
        yield
    finally:
        for part, state in zip(parts, saved, strict=True):
            vars(part).update(state)
        for group, rate in zip(groups, rates, strict=True):
            group.update(rate)


def _refers(value: Any) -> bool:
    first = value[0] if isinstance(value, list | tuple) and value else value
    return callable(first) or hasattr(first, "optimizer") or isinstance(first, torch.optim.Optimizer)


def parts_of(scheduler: Any) -> Iterator[Any]:
    """The schedulers inside SequentialLR and ChainedScheduler."""
    for part in getattr(scheduler, "_schedulers", ()):
        yield part
        yield from parts_of(part)


def dry_run(scheduler: Any, calls: int) -> list[list[float]]:
    """The learning rates of all groups before each step, if the scheduler is called `calls` times: (calls + 1, groups).

    Raises:
        ValueError: what the scheduler raises when it is called too often.
    """
    groups = scheduler.optimizer.param_groups
    rates = [[float(group["lr"]) for group in groups]]
    with _restored(scheduler):
        for _ in range(calls):
            scheduler.step()
            rates.append([float(group["lr"]) for group in groups])
    return rates
