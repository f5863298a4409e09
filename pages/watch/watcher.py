"""Watcher: waits between two steps until a page asks for the next one, and shows what happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from callbacks.checkup import Checkup
from callbacks.data_spec import spec_of
from callbacks.diagnostics import Diagnosis, GradientMonitor
from callbacks.diagnostics.verdict import Verdict
from callbacks.pictures.base import NoValidationError, datamodule, evaluating, fixed_batch
from callbacks.steps import steps_done
from pages.watch.controls import Controls
from pages.watch.course import Course
from pages.watch.frames import findings, layer_rows
from pages.watch.packing import plain
from pages.watch.rate import RateFactor, rate_of
from pages.watch.show import Show

FRAME_SECONDS = 1 / 12  # between two frames, at least
LONGEST_WAIT = 1.0  # seconds; then a signal is looked for


class Restart(BaseException):
    """A page asked for a new training.

    Args:
        seed: of the new one.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(f"restart with seed {seed}")
        self.seed = seed


class FrameGradients(GradientMonitor):
    """Measures gradients and deltas at the steps after which a frame is drawn, and logs nothing.

    Args:
        wanted: whether the step to come is such a step.
    """

    def __init__(self, wanted: Callable[[], bool]) -> None:
        super().__init__()
        self.wanted, self.writes = wanted, False

    def is_due(self, step: int) -> bool:
        return self.wanted()


class Watcher(pl.Callback):
    """Lets the pages of a `Show` play, pause and step a training. What is learned does not change, to the bit.

    It trains only while a page is open. At the end it stays, so that pages can still ask for things.

    Args:
        controls: what the pages ask for.
        show: what they are sent.

    Raises:
        Restart: while training or after it, if a page asks for a new training.

    `gradients` must be a callback of the same Trainer.
    """

    def __init__(self, controls: Controls, show: Show) -> None:
        self.controls, self.show = controls, show
        self.seed: int | None = None  # of this training, if it is known
        self.gradients = FrameGradients(lambda: self._wants_frame)
        self._wants_frame = True  # whether the step to come is followed by a frame
        self._shown_step, self._shown_at, self._cost = -1, 0.0, 0.0
        self._losses: dict[str, Course] = {"train": Course()}
        self._metrics: dict[str, float] = {}  # of the last validation
        self._is_finished = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._monitors = [each for each in trainer.callbacks if isinstance(each, Diagnosis | Checkup)]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._rate = RateFactor(trainer.optimizers, lambda: self.controls.factor)
        self._adds_points = not spec_of(datamodule(trainer)).in_sample
        try:
            with evaluating(pl_module, trainer):
                batch = fixed_batch(trainer)
        except NoValidationError:
            return  # the first batch of training is taken
        self.show.begin(pl_module, datamodule(trainer), batch)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self.show.has_scene:
            self.show.begin(pl_module, datamodule(trainer), batch)
        elif self._adds_points:
            self.show.add_points(batch)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor) and loss.numel() == 1:
            # Lightning divides a batch's loss by the number of batches that are accumulated.
            self._losses["train"].add(steps_done(trainer), float(loss) * trainer.accumulate_grad_batches)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        for name, value in trainer.callback_metrics.items():
            if name.startswith("val"):
                self._metrics[name] = float(value)
                self._losses.setdefault(name, Course()).add(steps_done(trainer), float(value))

    def between_steps(self, trainer: pl.Trainer, batches_done: int) -> None:
        """`ExactResume` calls this before every step: wait until the step may be made."""
        step = steps_done(trainer)
        self._obey(trainer, is_due=self._wants_frame or not self.controls.playing)
        if self._wants_frame and self.controls.playing and self.controls.speed:
            self.controls.wait(self._shown_at + FRAME_SECONDS - time.perf_counter())
        while not self.controls.may_step():
            self.controls.wait(LONGEST_WAIT)
            self._obey(trainer, is_due=step != self._shown_step)
        self._wants_frame = self._plans_frame(step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._is_finished, self.controls.playing = True, False
        self._obey(trainer, is_due=True)
        while True:
            self.controls.wait(LONGEST_WAIT)
            self._obey(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._rate.remove()

    def _plans_frame(self, step: int) -> bool:
        """Whether a frame follows the step to come."""
        if not self.controls.playing:
            return True
        if self.controls.speed:
            return step + 1 - self._shown_step >= self.controls.speed
        # As fast as possible: frames take at most a quarter of the time.
        return time.perf_counter() - self._shown_at >= max(FRAME_SECONDS, 4 * self._cost)

    def _obey(self, trainer: pl.Trainer, *, is_due: bool = False) -> None:
        """Do what pages ask for, and show it, or show a frame that is due."""
        if trainer.received_sigterm:
            raise SIGTERMException
        if self.controls.seed is not None:
            raise Restart(self.controls.seed)
        changes = self.controls.take_changes()
        self.show.obey(changes)
        if changes or is_due:
            self._show(trainer)

    def _show(self, trainer: pl.Trainer) -> None:
        started = time.perf_counter()
        if self.controls.pages:
            self.show.frame(trainer, trainer.lightning_module, self._known(trainer))
        self._shown_step, self._shown_at = steps_done(trainer), started
        self._cost = time.perf_counter() - started

    def _known(self, trainer: pl.Trainer) -> dict[str, Any]:
        """The figures of a frame."""
        rate = rate_of(trainer.optimizers)
        curves = {name: course.points() for name, course in self._losses.items()}
        return {
            "step": steps_done(trainer),
            "epoch": trainer.current_epoch,
            "finished": self._is_finished,
            "seed": self.seed,
            "rate": plain(rate) if rate is not None else None,
            "curves": plain({name: points for name, points in curves.items() if len(points)}),
            "metrics": plain(self._metrics),
            "layers": layer_rows(self.gradients.latest),
            "layers_step": self.gradients.latest_step,
            "findings": findings(self._verdicts()),
        }

    def _verdicts(self) -> list[Verdict]:
        """Those of the diagnosis, which include the check-up's; without one, those of the check-up."""
        for kind in (Diagnosis, Checkup):
            for each in self._monitors:
                if isinstance(each, kind):
                    return each.verdicts
        return []
