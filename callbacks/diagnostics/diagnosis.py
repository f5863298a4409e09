"""Diagnosis: what is wrong inside the network, where, how much, and what to try, in words.

It prints when its findings change and closes with a table. With TensorBoard the table is also the text
`diagnosis`; with any logger that has a folder it is `diagnosis.json` there. Without a logger it only prints.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_lightning as pl

from callbacks.diagnostics.activations import ActivationMonitor
from callbacks.diagnostics.gradients import GradientMonitor
from callbacks.diagnostics.monitor import checked_cadence
from callbacks.diagnostics.report import markdown, table, write_json
from callbacks.diagnostics.rules import Look, Verdict, judge
from callbacks.step_hooks import skip_empty_hooks
from callbacks.tensorboard import on_tensorboard

# verdicts whose rules look back by themselves
AT_ONCE = {"dead units", "learning rate far too high", "learning rate far too low"}


class Diagnosis(pl.Callback):
    """Verdicts on gradients, activations and updates; see `callbacks/diagnostics/rules.py` for the rules.

    It reads the `GradientMonitor` and the `ActivationMonitor` of the same Trainer where there are any, and
    otherwise looks for itself.

    Args:
        every_n_steps: optimizer steps between two looks, where it looks for itself; default: the Trainer's
            `log_every_n_steps`.
        window: a verdict holds when it was found at so many looks in a row, and is over when it was found at
            none of as many. At the end of a training that had fewer looks, those there were decide.

    Raises:
        ValueError: every_n_steps or window is not a positive integer.

    `verdicts` are those that hold now; `diagnosis.json` has the same, with those that are over.
    """

    def __init__(self, every_n_steps: int | None = None, *, window: int = 5) -> None:
        self.every_n_steps = checked_cadence(every_n_steps)
        if not isinstance(window, int) or window < 1:
            raise ValueError(f"window={window!r} is not a number of looks; give 1 or more")
        self.window = window
        self._own: list[Any] = []
        self._run: dict[str, Any] = {
            "first_loss": None,
            "largest_update": 0.0,
            "looks": 0,
        }  # outlives a resume
        self._forget()

    def _forget(self) -> None:
        self.verdicts: list[Verdict] = []
        self._history: deque[list[Verdict]] = deque(maxlen=self.window)
        self._losses: deque[float] = deque(maxlen=self.window)
        self._steps: dict[str, list[int]] = {}  # by verdict: first and last step at which it was found
        self._messages: dict[str, Verdict] = {}  # the newest of each kind
        self._told: set[str] = set()
        self._judged: int | None = None

    # --- looking: with monitors of its own, or with those of the Trainer ---

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        self._forget()
        self._own = []
        self._gradients = self._monitor(trainer, GradientMonitor)
        self._activations = self._monitor(trainer, ActivationMonitor)
        others = [each for each in (self._gradients, self._activations) if each not in self._own]
        before = trainer.callbacks[: trainer.callbacks.index(self)] if self in trainer.callbacks else []
        self._comes_last = all(each in before for each in others)
        skip_empty_hooks(self)
        needed = {
            "on_train_batch_start": self._own or not self._comes_last,
            "on_before_optimizer_step": self._own,
        }
        for hook, is_needed in needed.items():
            self.__dict__.pop(hook, None)
            if not is_needed:
                setattr(self, hook, None)
        # asked for here, where every process comes by
        self._folder = trainer.log_dir if trainer.loggers else None

    def _monitor(self, trainer: pl.Trainer, kind: type) -> Any:
        for callback in trainer.callbacks:
            if isinstance(callback, kind):
                return callback
        monitor = kind(self.every_n_steps)
        monitor.writes = False
        self._own.append(monitor)
        return monitor

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step == 0:
            self._run = {"first_loss": None, "largest_update": 0.0, "looks": 0}
        for monitor in self._own:
            monitor.on_train_start(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self._comes_last:
            self._take_up(trainer)  # by now all monitors have finished their last look
        for monitor in self._own:
            monitor.on_train_batch_start(trainer, pl_module, batch, batch_idx)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        for monitor in self._own:
            monitor.on_before_optimizer_step(trainer, pl_module, optimizer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        for monitor in self._own:
            monitor.on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._comes_last:
            self._take_up(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._take_up(trainer)
        self._close(trainer)
        for monitor in self._own:
            monitor.on_train_end(trainer, pl_module)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        for monitor in self._own:
            monitor.on_exception(trainer, pl_module, exception)
        if self._run["looks"]:
            self._take_up(trainer)
            self._close(trainer)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for monitor in self._own:
            monitor.teardown(trainer, pl_module, stage)

    def state_dict(self) -> dict[str, Any]:
        return dict(self._run)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._run.update(state_dict)

    # --- judging ---

    def _take_up(self, trainer: pl.Trainer) -> None:
        """Judge the monitors' last look, if there is a new one."""
        step = self._gradients.latest_step
        if step is None or step == self._judged:
            return
        self._judged = step
        if self._is_overflow():
            return
        self._history.append(judge(self._look(step)))
        for verdict in self._history[-1]:
            self._messages[verdict.kind] = verdict
            self._steps.setdefault(verdict.kind, [step, step])[1] = step
        held = self._holding()
        if held != [verdict.kind for verdict in self.verdicts]:
            new = [kind for kind in held if kind not in [verdict.kind for verdict in self.verdicts]]
            self.verdicts = [self._messages[kind] for kind in held]
            if trainer.is_global_zero:
                for kind in new:
                    print(f"Diagnosis at step {step}: {self._messages[kind]}", flush=True)
                if not held:
                    print(f"Diagnosis at step {step}: what was found before is over.", flush=True)
            self._write(trainer)
        self.verdicts = [self._messages[kind] for kind in held]

    def _is_overflow(self) -> bool:
        """A step that fp16's scaler will skip says nothing of the network."""
        scale = self._gradients.latest.get("amp_scale", {}).get("", 0.0)
        return scale >= 1 and not math.isfinite(self._gradients.latest["grad_norm_total"][""])

    def _look(self, step: int) -> Look:
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
        return Look(
            step,
            **{quantity: gradients.latest.get(quantity, {}) for quantity in quantities},
            missing=gradients.missing,
            calls=gradients.calls,
            saturated=activations.latest.get("saturated", {}),
            dead=activations.dead,
            units=activations.units,
            loss=median(self._losses)
            if all(map(math.isfinite, self._losses)) and self._losses
            else self._last_loss(),
            **run,
        )

    def _last_loss(self) -> float | None:
        return self._losses[-1] if self._losses else None

    def _holding(self) -> list[str]:
        """The kinds found at every look of a whole window, or that held before and were found at one."""
        kinds = [[verdict.kind for verdict in verdicts] for verdicts in self._history]
        before = {verdict.kind for verdict in self.verdicts}
        full = len(kinds) == self.window
        held = []
        for kind in dict.fromkeys(kind for found in kinds for kind in found):
            times = sum(kind in found for found in kinds)
            if kind in before or (full and times == len(kinds)) or (kind in AT_ONCE and kind in kinds[-1]):
                held.append(kind)
        return held

    # --- telling ---

    def _close(self, trainer: pl.Trainer) -> None:
        if self._history and len(self._history) < self.window:  # a short training: what every look has shown
            always = set.intersection(*({verdict.kind for verdict in found} for found in self._history))
            held = {verdict.kind for verdict in self.verdicts} | always
            self.verdicts = [verdict for kind, verdict in self._messages.items() if kind in held]
        self._write(trainer)
        if trainer.is_global_zero:
            print(table(self.verdicts, self._steps, self._run["looks"]), flush=True)

    def _write(self, trainer: pl.Trainer) -> None:
        text = markdown(self.verdicts, self._steps, self._run["looks"])
        on_tensorboard(trainer, lambda writer: writer.add_text("diagnosis", text, self._judged or 0))
        if self._folder is None or not trainer.is_global_zero:
            return
        now = {verdict.kind for verdict in self.verdicts}
        self._told |= now
        told = [
            asdict(verdict)
            | dict(zip(("first_step", "last_step"), self._steps[kind], strict=True))
            | {"holds": kind in now}
            for kind, verdict in self._messages.items()
            if kind in self._told
        ]
        report = {"healthy": not now, "step": self._judged, "looks": self._run["looks"], "verdicts": told}
        write_json(Path(self._folder), report)
