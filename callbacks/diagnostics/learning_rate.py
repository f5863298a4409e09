"""LearningRate: the learning rate with which the optimizer steps.

Tags: `lr`; with several parameter groups or optimizers `lr/0`, `lr/1`, ..., and `lr/NAME` for a group with a name.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from callbacks.diagnostics.monitor import Monitor
from callbacks.diagnostics.probe import Probe
from callbacks.tensorboard import write_scalars


class LearningRate(Monitor):
    """Logs the learning rate of each parameter group, before schedules change it.

    Args:
        every_n_steps: optimizer steps between two values; default: the Trainer's `log_every_n_steps`.

    Raises:
        ValueError: every_n_steps is not a positive integer.
    """

    def start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, probe: Probe) -> None:
        super().start(trainer, pl_module, probe)
        self._trainer = trainer
        self._written: int | None = None  # the last step; one of several batches is logged at the first

    def listens(self) -> bool:
        return False

    def is_due(self, step: int) -> bool:
        self._step = step
        return super().is_due(step)

    def start_batch(self, batch: Any, batch_idx: int) -> None:
        self._rates = rates(self._trainer.optimizers)

    def end_batch(self) -> None:
        if self._written != self._step:
            write_scalars(self._trainer, self._rates, self._step)
            self._written = self._step

    def stop(self) -> None:
        super().stop()
        self._trainer = None


def rates(optimizers: list[Any]) -> dict[str, float]:
    """The learning rates by tag; a group without one, as of an optimizer that finds its own, is left out."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    names = [group.get("name", number) for number, group in enumerate(groups)]
    tags = ["lr"] if len(groups) == 1 else [f"lr/{name}" for name in names]
    return {
        tag: float(group["lr"])
        for tag, group in zip(tags, groups, strict=True)
        if group.get("lr") is not None
    }
