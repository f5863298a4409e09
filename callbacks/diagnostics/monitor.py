"""When to look, and how to begin and to end it: what the diagnostic callbacks share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl

from callbacks.diagnostics.probe import Probe
from callbacks.step_hooks import skip_empty_hooks
from callbacks.tensorboard import write_layout


class Cadence:
    """Which optimizer steps are probe steps: 0, then n-1, 2n-1, ..., those at which Lightning logs too."""

    def __init__(self, every_n_steps: int, step: int) -> None:
        self.n, self._step, self._due = every_n_steps, step - 1, False

    def due(self, step: int) -> bool:
        # a step may be several batches (accumulation), and a batch several steps (GANs)
        if step != self._step:
            self._due = step == 0 or (step + 1) // self.n > (self._step + 1) // self.n
            self._step = step
        return self._due


def checked_cadence(every_n_steps: int | None) -> int | None:
    if every_n_steps is not None and (not isinstance(every_n_steps, int) or every_n_steps < 1):
        raise ValueError(
            f"every_n_steps={every_n_steps!r} is not a number of steps; give 1 or more, or leave it out"
        )
    return every_n_steps


def cadence(every_n_steps: int | None, trainer: pl.Trainer) -> Cadence:
    """The cadence asked for, or the Trainer's `log_every_n_steps` (50 where logging is switched off)."""
    return Cadence(every_n_steps or trainer.log_every_n_steps or 50, trainer.global_step)


class Monitor(pl.Callback):
    """A callback that watches through a probe, and stops watching however a training ends.

    After an exception Lightning calls `on_exception` and no `teardown`.
    """

    # Between looks these are None, which Lightning passes over: a call to no purpose takes 5 us of each step.
    sleeps: tuple[str, ...] = ()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        skip_empty_hooks(self)

    def _stop(self) -> None:
        """Let go of the model and of everything attached to it; may be called more than once."""

    def _sleep(self, trainer: pl.Trainer) -> None:
        if self in trainer.callbacks:  # not where another callback calls its hooks
            self.__dict__.update(dict.fromkeys(self.sleeps))

    def _wake(self) -> None:
        for hook in self.sleeps:
            self.__dict__.pop(hook, None)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._stop()


class Looking(Monitor, ABC):
    """A monitor that looks at some of the steps, and at each has a new `latest`.

    Args:
        every_n_steps: optimizer steps between two looks; default: the Trainer's `log_every_n_steps`. The first step of
            a training is always looked at.

    Raises:
        ValueError: every_n_steps is not a positive integer.
    """

    sleeps = ("on_before_optimizer_step", "on_train_batch_end")

    def __init__(self, every_n_steps: int | None = None) -> None:
        self.every_n_steps = checked_cadence(every_n_steps)
        self.writes = True  # Diagnosis switches it off in the monitor that it keeps for itself
        self.probe: Any = None  # a Probe while training
        self._forget()

    def _forget(self) -> None:
        """Begin anew."""
        self.latest: dict[str, dict[str, float]] = {}
        self.latest_step: int | None = None
        self.latest_loss: Any = None  # a number, still on the device, or None where the step gave none
        self._looking = False
        self._clear()

    def _clear(self) -> None:
        """Drop what was collected for a look."""

    @abstractmethod
    def _finish(self, trainer: pl.Trainer) -> None:
        """Make a `latest` of what was collected, once the optimizer has stepped."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._forget()
        self.probe = Probe.of(pl_module)
        self._cadence = cadence(self.every_n_steps, trainer)
        self._sleep(trainer)
        if self.writes:
            write_layout(trainer, self)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._cadence.due(trainer.global_step):
            self._step, self._looking = trainer.global_step, True
            self._wake()
            self.probe.attach(self)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._looking:
            return
        self._detach()
        self._sleep(trainer)
        if trainer.global_step != self._step:  # else more batches are to be accumulated
            self.latest_loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            self._finish(trainer)
            self._clear()

    def _stop(self) -> None:
        self._detach()
        self._clear()
        self._wake()
        self.probe = None

    def _detach(self) -> None:
        self._looking = False
        if self.probe is not None:
            self.probe.detach(self)
