"""Schedules that follow a metric, such as ReduceLROnPlateau, wait until it is measured.

With a validation every second epoch, or a schedule that counts steps, Lightning ends the training because the metric is
missing; once it was measured, it lets the schedule step with the same value again and again. Here a schedule steps once
for each measurement, as in a loop written by hand: `scheduler.step(loss)` after `loss = validate()`.

A module from elsewhere that sets `strict` to False asked for Lightning's way, and keeps it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.types import LRSchedulerConfig

from lit_models.base import LitModel
from runtime.direction import nearest
from runtime.errors import UsageError
from runtime.private import logged_now


class MetricSchedules(Callback):
    """Counts how often each metric was measured in a validation, and at which count each schedule stepped last.

    A metric that is logged in training is taken as it comes.
    """

    def __init__(self) -> None:
        self.measured: dict[str, int] = {}
        self.used: dict[int, int] = {}  # by the schedule's place in the list of all

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking and followers(trainer):
            for name in logged_now(trainer):
                self.measured[name] = self.measured.get(name, 0) + 1

    def state_dict(self) -> dict[str, Any]:
        return {"measured": self.measured, "used": self.used} if self.measured else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.measured, self.used = dict(state_dict["measured"]), dict(state_dict["used"])

    @contextlib.contextmanager
    def only_measured(self, trainer: Trainer) -> Iterator[None]:
        """Hide the schedules that have to wait; note which of the others step."""
        strategy, configs = trainer.strategy, trainer.lr_scheduler_configs
        ready = {place: each for place, each in enumerate(configs) if not self.waits(trainer, place)}
        steps = {place: steps_of(config) for place, config in ready.items()}
        strategy.lr_scheduler_configs = list(ready.values())
        try:
            yield
        finally:
            strategy.lr_scheduler_configs = configs
        for place, config in ready.items():
            if steps_of(config) != steps[place] and config.monitor in self.measured:
                self.used[place] = self.measured[config.monitor]

    def waits(self, trainer: Trainer, place: int) -> bool:
        """Whether a schedule may not step now."""
        config = trainer.lr_scheduler_configs[place]
        if not config.reduce_on_plateau or not (config.strict or is_own(trainer)):
            return False
        if config.monitor not in trainer.callback_metrics:
            return True
        return place in self.used and self.used[place] == self.measured[config.monitor]

    def check_at_end_of_epoch(self, trainer: Trainer) -> None:
        """Refuse to wait for a metric that should have been logged by now.

        Raises:
            UsageError: after an epoch without any validation, or with one that did not log the metric.
        """
        for config in followers(trainer):
            if config.monitor not in trainer.callback_metrics and not self.may_come(trainer, config):
                raise UsageError(never_measured(trainer, config, [*self.measured]))

    def may_come(self, trainer: Trainer, config: LRSchedulerConfig) -> bool:
        """Whether a metric that is not there yet may be logged later."""
        if is_own(trainer):
            return trainer.enable_validation or not config.monitor.startswith("val/")
        return not config.strict or (trainer.enable_validation and not self.measured)


def followers(trainer: Trainer) -> list[LRSchedulerConfig]:
    """The schedules that follow a metric."""
    return [config for config in trainer.lr_scheduler_configs if config.reduce_on_plateau]


def steps_of(config: LRSchedulerConfig) -> int | None:
    """How often a schedule has stepped, as PyTorch's count it."""
    return getattr(config.scheduler, "last_epoch", None)


def check_validated(trainer: Trainer) -> None:
    """Refuse to let a schedule of this project's models wait for a validation that never comes.

    Raises:
        UsageError: before the first step.
    """
    for config in followers(trainer):
        if is_own(trainer) and config.monitor.startswith("val/") and not trainer.enable_validation:
            raise UsageError(never_measured(trainer, config, []))


def never_measured(trainer: Trainer, config: LRSchedulerConfig, measured: list[str]) -> str:
    """Says that a schedule would never step, and what to do; `measured` is what a validation logged."""
    name, metric = type(config.scheduler).__name__, config.monitor
    if is_own(trainer):
        return (
            f"the schedule {name} follows {metric}, but this training has no validation; let it follow what the training "
            f"logs: --model.scheduler {name} --model.scheduler.monitor train/loss"
        )
    hint = nearest(metric, measured, [*trainer.callback_metrics])
    return (
        f"the schedule {name} follows {metric}, which is not logged; {hint}\n"
        "set the schedule's `monitor` in configure_optimizers to a metric that is logged"
    )


def is_own(trainer: Trainer) -> bool:
    """Whether the module is one of this project's, which wait in any Trainer."""
    return isinstance(trainer.lightning_module, LitModel)
