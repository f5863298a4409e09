"""Observer: the one callback that follows a training step by step, and drives the callbacks that measure or read.

Monitors measure: `GradientMonitor`, `ActivationMonitor`, `NonFiniteGuard`. Readers use the measurements: `Diagnosis`,
`DepthPlot`, `GradientCurve`. Each joins in its `setup`, in any order, and the first one inserts the Observer. At a probe
step all monitors measure before any reader reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytorch_lightning as pl
from torch import Tensor
from torch.optim import Optimizer

from callbacks.diagnostics.probe import Probe
from callbacks.step_hooks import skip_empty_hooks
from callbacks.steps import steps_done
from callbacks.tensorboard import write_layout

if TYPE_CHECKING:
    from callbacks.diagnostics.monitor import Monitor

    AnyMonitor = TypeVar("AnyMonitor", bound=Monitor)


class Reader(Protocol):
    """What an Observer needs from a callback that reads its monitors."""

    def start_reading(self, trainer: pl.Trainer, observer: Observer) -> None:
        """Before the first step: choose the monitors to read."""

    def read(self, trainer: pl.Trainer) -> None:
        """After a step at which something was measured."""


class Observer(pl.Callback):
    """Owns the probe of one training, and is the only diagnostic callback with step hooks."""

    def __init__(self) -> None:
        self.monitors: list[Monitor] = []
        self.readers: list[Reader] = []
        self.probe: Probe | None = None  # while training
        self._step: int | None = None  # the step in progress; None between two
        self._counted = 0  # optimizer steps of manual optimization, with or without Lightning's wrapper
        self._counters: list[Any] = []
        self._due: list[Monitor] = []  # the monitors that measure in this step
        self._listening: list[Monitor] = []  # those of them that need the probe
        skip_empty_hooks(self)

    @classmethod
    def of(cls, trainer: pl.Trainer, asking: pl.Callback) -> Observer:
        """The Trainer's observer; if there is none, a new one is put right after the callback that asks for it.

        That is before the callbacks that write checkpoints, so that checkpoints include the step just observed.
        """
        callbacks = trainer.callbacks
        for callback in callbacks:
            if isinstance(callback, cls):
                return callback
        place = len(callbacks)
        if asking in callbacks:
            place = callbacks.index(asking) + 1
        elif checkpoints := trainer.checkpoint_callbacks:  # another callback owns the one that asks
            place = callbacks.index(checkpoints[0])
        callbacks.insert(place, cls())
        return callbacks[place]

    def add(self, monitor: Monitor) -> None:
        """Drive this monitor during the training that is being set up."""
        if monitor not in self.monitors:
            self.monitors.append(monitor)

    def add_reader(self, reader: Reader) -> None:
        """Call this reader during the training that is being set up."""
        if reader not in self.readers:
            self.readers.append(reader)

    def provide(
        self,
        kind: type[AnyMonitor],
        every_n_steps: int | None,
        suits: Callable[[AnyMonitor], bool] = lambda monitor: True,
    ) -> AnyMonitor:
        """The Trainer's first suitable monitor of this kind, or else a new one that logs nothing; for `start_reading`."""
        for monitor in self.monitors:
            if isinstance(monitor, kind) and suits(monitor):
                return monitor
        silent = kind(every_n_steps)
        silent.writes = False
        self.add(silent)
        return silent

    # --- the training ---

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.probe = Probe(pl_module)
        for reader in self.readers:
            reader.start_reading(trainer, self)
        for monitor in self.monitors:
            monitor.start(trainer, pl_module, self.probe)
        self._step = None
        if not pl_module.automatic_optimization:
            optimizers = [each for each in trainer.optimizers if isinstance(each, Optimizer)]
            self._counters = [each.register_step_post_hook(self._count) for each in optimizers]
        write_layout(trainer, [chart for each in self.monitors if each.writes for chart in each.charts])

    def watches_next_step(self, trainer: pl.Trainer) -> bool:
        """Whether anything is measured in the step to come; if not, its step hooks need not be called."""
        return any(monitor.is_due(steps_done(trainer)) for monitor in self.monitors)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._step is None:
            self._step, self._steps_before = steps_done(trainer), self._optimizer_steps(trainer)
        self._due = [monitor for monitor in self.monitors if monitor.is_due(self._step)]
        for monitor in self._due:
            monitor.start_batch(batch, batch_idx)
        self._listening = [monitor for monitor in self._due if monitor.listens()]
        if self._listening and self.probe is not None:
            self.probe.attach(self._listening)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        for monitor in self._due:
            monitor.before_backward(loss)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        for monitor in self._due:
            monitor.before_optimizer_step(trainer, pl_module, optimizer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        due, listening = self._due, self._listening
        self._detach()
        for monitor in due:
            monitor.end_batch()
        if self._optimizer_steps(trainer) == self._steps_before:  # more batches follow in this step
            return
        self._step = None
        if not listening:
            return
        for monitor in listening:
            monitor.finish(trainer, outputs, steps_done(trainer) - 1)
        for reader in self.readers:
            reader.read(trainer)

    def _optimizer_steps(self, trainer: pl.Trainer) -> int:
        return self._counted if self._counters else steps_done(trainer)

    def _count(self, *args: Any) -> None:
        self._counted += 1

    def _detach(self) -> None:
        """Remove the hooks from the model until the next batch."""
        self._due, self._listening = [], []
        if self.probe is not None:
            self.probe.detach()

    # --- the end: Lightning calls `teardown`, or after an exception only `on_exception` ---

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._stop()

    def _stop(self) -> None:
        """Release the model, and everyone who joined; they join again when the Trainer fits again."""
        self._detach()
        for counter in self._counters:
            counter.remove()
        self._counters = []
        for monitor in self.monitors:
            monitor.stop()
        self.monitors, self.readers, self.probe = [], [], None
