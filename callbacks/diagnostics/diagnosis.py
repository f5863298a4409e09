"""Diagnosis: what is wrong inside the network and with its learning, by how much, and what to try, in words.

It prints when problems begin or end, and a table at the end. With TensorBoard the table is also the text `diagnosis`.
With any logger that has a folder it is written there as `diagnosis.json`. Without a logger it is only printed.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from callbacks.data_spec import spec_of
from callbacks.diagnostics.activations import ActivationMonitor
from callbacks.diagnostics.evidence import Evidence
from callbacks.diagnostics.gradients import GradientMonitor
from callbacks.diagnostics.history import History
from callbacks.diagnostics.learning import in_words, judge_learning
from callbacks.diagnostics.losses import LossMonitor, ValidationWatch
from callbacks.diagnostics.monitor import checked_cadence
from callbacks.diagnostics.observer import Observer
from callbacks.diagnostics.presence import Presence
from callbacks.diagnostics.record import TrainingRecord, decay_over_gradient
from callbacks.diagnostics.report import markdown, table, write_json
from callbacks.diagnostics.rules import Measurements, judge
from callbacks.diagnostics.upkeep import Upkeep
from callbacks.diagnostics.verdict import Verdict
from callbacks.observing import observed
from callbacks.step_hooks import skip_empty_hooks
from callbacks.steps import steps_done
from callbacks.tensorboard import on_tensorboard

NOTHING_YET: dict[str, Any] = {"first_loss": None, "looks": 0, "step": None}
NOTHING_YET |= {"largest_update": 0.0, "largest_step": 0.0, "weights": 0.0}


class Diagnosis(pl.Callback):
    """Verdicts on gradients, activations, updates, and on what was learned.

    Four files decide: `rules.py`, what one probe step means; `history.py`, what holds over several; `learning.py`, what
    the whole training means; `causes.py`, what explains what. This one gives them their input. It reads the
    `GradientMonitor` and the `ActivationMonitor` of the same Trainer if there are any, and otherwise its own, which log
    nothing. A callback with `step_zero_verdicts`, a list of verdicts from before the training, takes part with them.

    Args:
        every_n_steps: optimizer steps between two measurements of its own monitors; default: the Trainer's
            `log_every_n_steps`.
        window: a verdict starts to hold when it was found at this many probe steps in a row, and ends when it was
            found at none of as many. If a training has fewer probe steps, all of them decide at its end.

    Raises:
        ValueError: every_n_steps or window is not a positive integer.

    `verdicts` are those that hold now, causes first, with notes (severity "info") that healthy trainings have, too;
    `diagnosis.json` also has those that have ended.
    """

    def __init__(self, every_n_steps: int | None = None, *, window: int = 5) -> None:
        self.every_n_steps = checked_cadence(every_n_steps)
        if not isinstance(window, int) or window < 1:
            raise ValueError(f"window={window!r} is not a number of probe steps; give 1 or more")
        self.window = window
        self._begin()
        self._forget()

    def _begin(self) -> None:
        """What is kept over a resume."""
        self._run: dict[str, Any] = dict(NOTHING_YET)
        self.record = TrainingRecord()
        self._step_zero: list[Verdict] = []

    def _forget(self) -> None:
        self._history = History(self.window)
        self._presence = Presence()
        self._losses: deque[float] = deque(maxlen=self.window)
        self._judged: int | None = None  # the last probe step that was judged
        self._watch = ValidationWatch()

    @property
    def verdicts(self) -> list[Verdict]:
        return self._history.holding

    @property
    def problems(self) -> list[Verdict]:
        """The verdicts that are more than a note."""
        return self._history.problems

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        skip_empty_hooks(self)
        if stage == "fit":
            self._forget()
            Observer.of(trainer, self).add_reader(self)
            # read here because every process must take part
            self._folder = trainer.log_dir if trainer.loggers else None

    def start_reading(self, trainer: pl.Trainer, observer: Observer) -> None:
        if steps_done(trainer) == 0:
            self._begin()
        self._gradients = observer.provide(GradientMonitor, self.every_n_steps)
        self._activations = observer.provide(ActivationMonitor, self.every_n_steps)
        self._losses_seen = observer.provide(LossMonitor, self._gradients.every_n_steps)
        self._upkeep = observer.provide(Upkeep, self._gradients.every_n_steps)
        spec = spec_of(getattr(trainer, "datamodule", None))
        names = () if spec.task == "multilabel" else spec.class_names  # of several labels, each is 0 or 1
        self.record.class_names = [str(name) for name in names]
        self._read_step_zero(trainer)

    @observed
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if _is_validating(trainer):
            self._watch.begin(pl_module)

    @observed
    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._watch.next_batch(batch_idx, dataloader_idx)

    @observed
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not _is_validating(trainer):
            return
        found = self.record.validated = self._watch.end()
        loss = found.loss if isinstance(found, Evidence) else self._watch.logged_loss(trainer)
        if loss is not None:
            self.record.validation.add(steps_done(trainer), trainer.current_epoch, loss)
        self.record.update(trainer)
        if self.record.step != self.record.planned_steps:  # else the end follows
            before = [verdict.kind for verdict in self.problems]
            self._judge_learning(trainer, ended=False)
            self._announce(trainer, steps_done(trainer), before)

    @observed
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close(trainer)

    @observed
    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._watch.restore()
        if self._judged is not None:  # else it ended before its first probe step
            self._close(trainer)

    def state_dict(self) -> dict[str, Any]:
        step_zero = [asdict(verdict) for verdict in self._step_zero]
        return self._run | {"record": self.record.state(), "step_zero": step_zero}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.record = TrainingRecord.from_state(state_dict.get("record", {}))
        self._step_zero = [Verdict(**each) for each in state_dict.get("step_zero", [])]
        self._run.update({name: state_dict[name] for name in NOTHING_YET if name in state_dict})

    # --- judging ---

    def read(self, trainer: pl.Trainer) -> None:
        """Judge the newest measurements, unless this was done already."""
        step = self._gradients.latest_step
        if step is None or step == self._judged:
            return
        self._judged = self._run["step"] = step
        if self._is_overflow():
            return
        before = [verdict.kind for verdict in self.problems]
        self._history.add(step, judge(self._measurements(step)))
        self._note_progress(trainer, step)
        self._history.note("upkeep", step, list(self._upkeep.verdicts.values()))
        self._read_step_zero(trainer)
        self._announce(trainer, step, before)

    def _note_progress(self, trainer: pl.Trainer, step: int) -> None:
        """Keep what `learning.py` needs of this probe step."""
        record, latest = self.record, self._gradients.latest
        if self._losses:
            record.training.add(step, trainer.current_epoch, self._losses[-1])
        record.probes += 1
        record.clipped += latest.get("clip_factor", {}).get("", 1.0) < 0.999
        decay = decay_over_gradient(trainer.optimizers, self._gradients.probe.layers, latest)
        record.decayed += decay > 1
        if record.probes == 1 and math.isfinite(decay):
            record.decay_at_start = decay
        record.note_rate(step, trainer.optimizers)

    def _sum_up_losses(self) -> None:
        self.record.trained, self.record.given = self._losses_seen.evidence(), self._losses_seen.given

    def _seems_no_better(self) -> bool:
        self._sum_up_losses()
        return self.record.seems_no_better

    def _judge_learning(self, trainer: pl.Trainer, ended: bool) -> None:
        self.record.update(trainer)
        self._sum_up_losses()
        self._history.note("learning", steps_done(trainer), judge_learning(self.record, ended))

    def _read_step_zero(self, trainer: pl.Trainer) -> None:
        """Take in what another callback found before the first step, or an earlier part of this training did."""
        found = [verdict for each in trainer.callbacks for verdict in getattr(each, "step_zero_verdicts", ())]
        self._step_zero = found or self._step_zero
        if self._step_zero and not self._history.has_noted("check-up"):
            self._history.note("check-up", 0, self._step_zero)

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
        run["largest_step"] = max(run["largest_step"], self._step_over_weights())
        run["looks"] += 1
        if gradients.latest_loss is not None:
            self._losses.append(float(gradients.latest_loss))
            if run["first_loss"] is None:
                run["first_loss"] = self._losses[0]
        self._presence.add_step(gradients.latest, gradients.missing)
        quantities = ("delta_norm", "grad_norm", "grad_mean_abs", "signal_rms")
        return Measurements(
            step,
            **{quantity: gradients.latest.get(quantity, {}) for quantity in quantities},
            missing=gradients.missing,
            calls=gradients.calls,
            feeds=gradients.feeds,
            may_come_back=self._presence.may_come_back,
            saturated=activations.latest.get("saturated", {}),
            dead=activations.dead,
            units=activations.units,
            loss=self._loss(),
            first_loss=run["first_loss"],
            largest_update=run["largest_update"],
            largest_step=run["largest_step"],
            no_better=self._seems_no_better,
            num_steps=run["looks"],
        )

    def _step_over_weights(self) -> float:
        """The length of the step of all layers, over the largest length that all weights together have had."""
        norms, ratios = (self._gradients.latest.get(name, {}) for name in ("weight_norm", "update_ratio"))
        self._run["weights"] = max(self._run["weights"], math.hypot(*norms.values()))
        step = math.hypot(*(ratio * norms[tag] for tag, ratio in ratios.items()))
        return step / self._run["weights"] if self._run["weights"] > 0 and math.isfinite(step) else 0.0

    def _loss(self) -> float | None:
        """The median of the last losses; if one of them is not finite, the last loss."""
        if not self._losses:
            return None
        return median(self._losses) if all(map(math.isfinite, self._losses)) else self._losses[-1]

    # --- reporting ---

    def _announce(self, trainer: pl.Trainer, step: int, before: list[str]) -> None:
        """Print the problems that are new, and write the files again; notes wait for the end."""
        if [verdict.kind for verdict in self.problems] == before:
            return
        self._write(trainer)
        if not trainer.is_global_zero:
            return
        for verdict in self.problems:
            if verdict.kind not in before:
                print(f"Diagnosis at step {step}: {verdict}", flush=True)
        if not self.problems:
            print(f"Diagnosis at step {step}: what was found before is over.", flush=True)

    def _close(self, trainer: pl.Trainer) -> None:
        self._history.close()
        self._history.note("upkeep", steps_done(trainer), list(self._upkeep.verdicts.values()))
        self._judge_learning(trainer, ended=True)
        self._write(trainer)
        if trainer.is_global_zero:
            print(table(self._history, self._run["looks"], in_words(self.record)), flush=True)

    def _write(self, trainer: pl.Trainer) -> None:
        text = markdown(self._history, self._run["looks"], in_words(self.record))
        on_tensorboard(trainer, lambda writer: writer.add_text("diagnosis", text, self._judged or 0))
        if self._folder is not None and trainer.is_global_zero:
            write_json(Path(self._folder), self._history, self._run["step"], self._run["looks"])


def _is_validating(trainer: pl.Trainer) -> bool:
    """Whether this is a validation within a training."""
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
