"""Diagnosis: what is wrong inside the network, where, by how much, and what to try, in words.

It prints when its findings change, and a table at the end. With TensorBoard the table is also the text `diagnosis`.
With any logger that has a folder it is written there as `diagnosis.json`. Without a logger it is only printed.
"""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_lightning as pl

from callbacks.diagnostics.activations import ActivationMonitor
from callbacks.diagnostics.gradients import GradientMonitor
from callbacks.diagnostics.history import History
from callbacks.diagnostics.monitor import checked_cadence
from callbacks.diagnostics.observer import Observer
from callbacks.diagnostics.report import markdown, table, write_json
from callbacks.diagnostics.rules import Measurements, judge
from callbacks.diagnostics.verdict import Verdict
from callbacks.step_hooks import skip_empty_hooks
from callbacks.tensorboard import on_tensorboard

NOTHING_YET = {"first_loss": None, "largest_update": 0.0, "looks": 0}


class Diagnosis(pl.Callback):
    """Verdicts on gradients, activations and updates.

    Three files decide: `rules.py`, what one probe step means; `verdicts.py`, what holds over several; and this one, what
    the rules get as input. It reads the `GradientMonitor` and the `ActivationMonitor` of the same Trainer if there are
    any, and otherwise its own, which log nothing.

    Args:
        every_n_steps: optimizer steps between two measurements of its own monitors; default: the Trainer's
            `log_every_n_steps`.
        window: a verdict starts to hold when it was found at this many probe steps in a row, and ends when it was
            found at none of as many. If a training has fewer probe steps, all of them decide at its end.

    Raises:
        ValueError: every_n_steps or window is not a positive integer.

    `verdicts` are those that hold now; `diagnosis.json` also has those that have ended.
    """

    def __init__(self, every_n_steps: int | None = None, *, window: int = 5) -> None:
        self.every_n_steps = checked_cadence(every_n_steps)
        if not isinstance(window, int) or window < 1:
            raise ValueError(f"window={window!r} is not a number of probe steps; give 1 or more")
        self.window = window
        self._run: dict[str, Any] = dict(NOTHING_YET)  # kept over a resume
        self._forget()

    def _forget(self) -> None:
        self._history = History(self.window)
        self._losses: deque[float] = deque(maxlen=self.window)
        self._judged: int | None = None  # the last probe step that was judged

    @property
    def verdicts(self) -> list[Verdict]:
        return self._history.holding

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        skip_empty_hooks(self)
        if stage == "fit":
            self._forget()
            Observer.of(trainer, self).add_reader(self)
            # read here because every process must take part
            self._folder = trainer.log_dir if trainer.loggers else None

    def start_reading(self, trainer: pl.Trainer, observer: Observer) -> None:
        if trainer.global_step == 0:
            self._run = dict(NOTHING_YET)
        self._gradients = observer.provide(GradientMonitor, self.every_n_steps)
        self._activations = observer.provide(ActivationMonitor, self.every_n_steps)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if self._run["looks"]:
            self._close(trainer)

    def state_dict(self) -> dict[str, Any]:
        return dict(self._run)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._run.update(state_dict)

    # --- judging ---

    def read(self, trainer: pl.Trainer) -> None:
        """Judge the newest measurements, unless this was done already."""
        step = self._gradients.latest_step
        if step is None or step == self._judged:
            return
        self._judged = step
        if self._is_overflow():
            return
        before = self._history.kinds
        self._history.add(step, judge(self._measurements(step)))
        if self._history.kinds != before:
            self._announce(trainer, step, before)
            self._write(trainer)

    def _is_overflow(self) -> bool:
        """Whether fp16's scaler will skip this step; such a step says nothing about the network."""
        scale = self._gradients.latest.get("amp_scale", {}).get("", 0.0)
        return scale >= 1 and not math.isfinite(self._gradients.latest["grad_norm_total"][""])

    def _measurements(self, step: int) -> Measurements:
        gradients, activations, run = self._gradients, self._activations, self._run
        updates = [
            value for value in gradients.latest.get("update_ratio", {}).values() if math.isfinite(value)
        ]
        run["largest_update"] = max([run["largest_update"], *updates])
        run["looks"] += 1
        if gradients.latest_loss is not None:
            self._losses.append(float(gradients.latest_loss))
            if run["first_loss"] is None:
                run["first_loss"] = self._losses[0]
        quantities = ("delta_norm", "grad_norm", "grad_mean_abs", "signal_rms")
        return Measurements(
            step,
            **{quantity: gradients.latest.get(quantity, {}) for quantity in quantities},
            missing=gradients.missing,
            calls=gradients.calls,
            saturated=activations.latest.get("saturated", {}),
            dead=activations.dead,
            units=activations.units,
            loss=self._loss(),
            first_loss=run["first_loss"],
            largest_update=run["largest_update"],
            num_steps=run["looks"],
        )

    def _loss(self) -> float | None:
        """The median of the last losses; if one of them is not finite, the last loss."""
        if not self._losses:
            return None
        return median(self._losses) if all(map(math.isfinite, self._losses)) else self._losses[-1]

    # --- reporting ---

    def _announce(self, trainer: pl.Trainer, step: int, before: list[str]) -> None:
        if not trainer.is_global_zero:
            return
        for verdict in self.verdicts:
            if verdict.kind not in before:
                print(f"Diagnosis at step {step}: {verdict}", flush=True)
        if not self.verdicts:
            print(f"Diagnosis at step {step}: what was found before is over.", flush=True)

    def _close(self, trainer: pl.Trainer) -> None:
        self._history.close()
        self._write(trainer)
        if trainer.is_global_zero:
            print(table(self._history, self._run["looks"]), flush=True)

    def _write(self, trainer: pl.Trainer) -> None:
        text = markdown(self._history, self._run["looks"])
        on_tensorboard(trainer, lambda writer: writer.add_text("diagnosis", text, self._judged or 0))
        if self._folder is not None and trainer.is_global_zero:
            write_json(Path(self._folder), self._history, self._judged, self._run["looks"])
