"""Monitor: what the measuring callbacks share, and at which steps they measure."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from callbacks.diagnostics.observer import Observer
from callbacks.diagnostics.probe import Layer
from callbacks.observing import Observing
from callbacks.step_hooks import skip_empty_hooks
from callbacks.steps import steps_done


class Cadence:
    """Which optimizer steps are probe steps: 0, then n-1, 2n-1, ..., the steps at which Lightning logs.

    Args:
        every_n_steps: None for the Trainer's `log_every_n_steps`, or 50 if logging is off.
        trainer: its steps are counted, starting from the current one.
    """

    def __init__(self, every_n_steps: int | None, trainer: pl.Trainer) -> None:
        self.n = every_n_steps or trainer.log_every_n_steps or 50
        self._step, self._due = steps_done(trainer) - 1, False

    def due(self, step: int) -> bool:
        # a step may be several batches
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


class Monitor(pl.Callback):
    """A callback that measures at some steps. It has no step hooks; the Trainer's `Observer` drives it.

    Args:
        every_n_steps: optimizer steps between two measurements; default: the Trainer's `log_every_n_steps`. The first
            step of a training is always measured.

    Raises:
        ValueError: every_n_steps is not a positive integer.

    `latest[quantity][tag]` holds the newest measurement, of the step `latest_step`.
    """

    charts: tuple[str, ...] = ()  # the first parts of its tags
    raises: tuple[type[Exception], ...] = ()  # what it raises on purpose while training

    def __init__(self, every_n_steps: int | None = None) -> None:
        self.every_n_steps = checked_cadence(every_n_steps)
        self.writes = True  # False if it only measures for another callback
        self.probe: Any = None  # a Probe while training
        self.shield = Observing(self, meant=self.raises)
        self.skipped = False  # whether the measurement of this step failed
        self._forget()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        skip_empty_hooks(self)
        if stage == "fit":
            Observer.of(trainer, self).add(self)

    def _forget(self) -> None:
        """Start over."""
        self.latest: dict[str, dict[str, float]] = {}
        self.latest_step: int | None = None
        self._clear()

    def _clear(self) -> None:
        """Drop what was collected for a measurement."""

    # --- the Observer calls these, in this order; what they raise is reported, and the step is skipped ---

    def start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, probe: Any) -> None:
        """Before the first step."""
        self._forget()
        self.probe = probe
        self._cadence = Cadence(self.every_n_steps, trainer)

    def is_due(self, step: int) -> bool:
        """Whether to measure at this optimizer step; only then the methods below are called for its batches."""
        return self._cadence.due(step)

    def listens(self) -> bool:
        """Whether it needs the probe at the steps where it measures."""
        return True

    def start_batch(self, batch: Any, batch_idx: int) -> None:
        """Before each of a step's batches."""

    def on_layer_output(self, layer: Layer, outputs: list[Tensor]) -> None:
        """After each call of a layer; `outputs` are the floating-point tensors that it returned."""

    def before_backward(self, loss: Tensor) -> None:
        """Before each backward pass."""

    def before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        """When the gradients are complete and not yet clipped; LBFGS calls this several times in one step."""

    def end_batch(self) -> None:
        """After each of a step's batches."""

    def collect(self, trainer: pl.Trainer, outputs: Any, step: int) -> list[float]:
        """After the optimizer's step: the numbers of this process, which are then summed over all processes.

        Args:
            outputs: what `training_step` returned.
            step: that of `is_due`.
        """
        return []

    def finish(self, trainer: pl.Trainer, numbers: list[float], step: int) -> None:
        """After `collect`, with the sums over all processes."""

    def skip(self) -> None:
        """Drop a measurement that failed; nothing of it may reach the next one, or a reader."""
        self.skipped = True
        self.latest, self.latest_step = {}, None
        self._clear()

    def stop(self) -> None:
        """Release the model, however the training ends; may be called more than once."""
        self._clear()
        self.probe = None
