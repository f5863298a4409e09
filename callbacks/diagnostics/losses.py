"""What the loss functions get: the answers and the targets of training steps and of validations.

LossMonitor      at probe steps
ValidationWatch  in the first batches of each validation, or in all batches of a test
"""

from __future__ import annotations

import functools
import math
from collections import deque
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from callbacks.dependent_rows import Rows, half_interval, rows_of
from callbacks.diagnostics.evidence import Evidence
from callbacks.diagnostics.loss_calls import REGRESSION_LOSSES, LossCall, LossRecorder
from callbacks.diagnostics.monitor import Monitor
from callbacks.diagnostics.probe import Probe, tensors_in
from callbacks.diagnostics.tallies import ClassTally, Tally, evidence_of, new_tally
from callbacks.observing import Observing
from callbacks.tensorboard import write_learning

BATCHES = 20  # of a validation that are watched
RECENT = 10  # probe steps whose rows are counted together
SPLITS = {"validation_step": "val", "test_step": "test"}
NO_CALL = "calls no loss function of torch"
SEVERAL_CALLS = "calls several loss functions"
NOT_WATCHED = "could not be watched"


class LossMonitor(Monitor):
    """Counts answers and targets of the training at probe steps.

    It logs nothing, but the accuracy at each of them is known, and so a logger with learning curves gets it.

    `obstacle` says why they cannot be compared with a constant answer; empty if they can.
    """

    def _forget(self) -> None:
        super()._forget()
        self.obstacle = ""
        self.given = True  # whether the targets came with the batch, and were not made by the training step
        self._tallies: deque[Tally] = deque(maxlen=RECENT)
        self._center: Tensor | None = None

    def _clear(self) -> None:
        self._tally: Tally | None = None
        self._batch: Any = None
        self._calls = 0  # since the batch began
        self._counts = False  # whether calls are counted: until the batch's first backward pass

    def start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, probe: Probe) -> None:
        super().start(trainer, pl_module, probe)
        if len(trainer.optimizers) > 1:
            self.obstacle = "has several optimizers, each with a loss of its own"

    def start_batch(self, batch: Any, batch_idx: int) -> None:
        self._batch, self._calls, self._counts = batch, 0, True

    def on_loss_call(self, call: LossCall) -> None:
        if not self._counts or self.obstacle or not torch.is_grad_enabled():
            return
        self._calls += 1
        if self._calls > 1:
            self.obstacle = SEVERAL_CALLS
            return
        if call.name in REGRESSION_LOSSES:
            self.given = self.given and _is_part_of(call.target, self._batch)
        with torch.no_grad():
            self._tally, self.obstacle = count(call, self._tally, self._center)

    def before_backward(self, loss: Tensor) -> None:
        self._counts = False  # LBFGS runs the same batch again

    def end_batch(self) -> None:
        self._batch = None

    def skip(self) -> None:
        super().skip()
        self.obstacle = self.obstacle or NOT_WATCHED

    def finish(self, trainer: pl.Trainer, numbers: list[float], step: int) -> None:
        self.latest_step = step
        if self._tally is None and not self._tallies:
            self.obstacle = self.obstacle or NO_CALL
        elif self._tally is not None:
            self.obstacle = "" if self.obstacle == NO_CALL else self.obstacle
            self._tallies.append(self._tally)
            write_learning(trainer, functools.partial(accuracy, self._tally), step)
            self._center = getattr(self._tally, "center", None)
        self._clear()

    def evidence(self) -> Evidence | str:
        """Of the last half of all probe steps, at most `RECENT`; or why there is none."""
        if self.obstacle or not self._tallies:
            return self.obstacle or NO_CALL
        skipped = len(self._tallies) // 2 if len(self._tallies) < RECENT else 0
        return evidence_of(list(self._tallies)[skipped:])


def count(
    call: LossCall, tally: Tally | None, center: Tensor | None, each_row: bool = False
) -> tuple[Tally | None, str]:
    """Add a call to its tally, or to a new one; returns the tally, and what is in the way.

    Args:
        each_row: whether a new tally keeps the errors of each row.
    """
    new = new_tally(call, center) if tally is None else tally
    if isinstance(new, str):
        return None, new
    if tally is None and each_row:
        new.each_row = []
    if not new.add(call):
        return None, f"gives {call.name} shapes that have no constant answer: {_shapes(call)}"
    return new, ""


def accuracy(tally: Tally) -> dict[str, float]:
    """The share of correct answers, by name; nothing if the targets are not classes."""
    if not isinstance(tally, ClassTally) or tally.sums is None or tally.soft is None:
        return {}
    rows, hits, soft = torch.stack([*tally.sums[:2].sum(1), tally.soft.to(tally.sums.dtype)]).tolist()
    return {"accuracy": hits / rows} if rows and not soft else {}


def _shapes(call: LossCall) -> str:
    return f"{list(call.input.shape)} and {list(call.target.shape)}"


def _is_part_of(target: Tensor, batch: Any) -> bool:
    """Whether the target is one of the batch's tensors, or a view of one."""
    where = target.untyped_storage().data_ptr()
    return any(each.untyped_storage().data_ptr() == where for each in tensors_in(batch))


def is_compiled(model: nn.Module) -> bool:
    """Whether part of it was compiled; then functions are watched at the price of other roundings."""
    parts = any(
        getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_orig_mod")
        for module in model.modules()
    )
    return parts or getattr(model, "_compiler_ctx", None) is not None


class ValidationWatch:
    """Sees the loss calls in `validation_step`, for the first batches of the first loader.

    Args:
        step: name of the method whose calls are seen.
        batches: how many are watched.

    `obstacle` says why the newest validation could not be judged; empty if it could.
    """

    def __init__(self, step: str = "validation_step", batches: float = BATCHES) -> None:
        self.step, self.batches = step, batches
        self.active = False  # whether the next batch is watched
        self._of_training: set[str] | None = None  # names that were logged before the first validation
        self.obstacle = ""
        self._whole = True  # whether all batches so far were watched
        self._center: Tensor | None = None
        self._model: pl.LightningModule | None = None

    def begin(self, model: pl.LightningModule) -> None:
        """Before the first batch."""
        if self._of_training is None:
            self._of_training = set(model.trainer.callback_metrics)
        self._tally: Tally | None = None
        self._rows = rows_of(model.trainer.datamodule, SPLITS[self.step])
        self.obstacle, self.active, self._whole, self._model = "", False, True, None
        if is_compiled(model):
            self.obstacle = "is compiled"
            return
        original = getattr(model, self.step)

        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if not self.active:
                return original(*args, **kwargs)
            with LossRecorder() as recorder:
                output = original(*args, **kwargs)
            with Observing(self):
                self._count(recorder.calls)
            return output

        self._model = model
        self._replaced = model.__dict__.get(self.step)
        model.__dict__[self.step] = watched

    def next_batch(self, batch_idx: int, dataloader_idx: int) -> None:
        """Before each batch."""
        is_seen = batch_idx < self.batches and dataloader_idx == 0
        self._whole = self._whole and is_seen
        self.active = is_seen and not self.obstacle

    def logged_loss(self, trainer: pl.Trainer) -> float | None:
        """The loss that the validation logged: the metric with "loss" in its name, and if possible "val"."""
        of_training = self._of_training or set()  # such as `g_loss` of a GAN
        names = [name for name in trainer.callback_metrics if "loss" in name.lower()]
        names = [name for name in names if "train" not in name.lower() and name not in of_training]
        names.sort(key=lambda name: "val" not in name.lower())
        return float(trainer.callback_metrics[names[0]]) if names else None

    def end(self) -> Evidence | str:
        """After the last batch: restore the model; returns what was seen, or why nothing was."""
        self.restore()
        if self.obstacle:
            return self.obstacle
        if self._tally is None:
            return NO_CALL
        self._center = getattr(self._tally, "mean", None)
        found = self._tally.evidence()
        if not isinstance(found, Evidence):
            return found
        found = replace(found, whole=self._whole)
        return with_intervals(found, self._tally.each_row, self._rows) if self._tally.each_row else found

    def restore(self) -> None:
        """Give the model its own step back."""
        self.active = False
        if self._model is not None:
            del self._model.__dict__[self.step]
            if self._replaced is not None:
                self._model.__dict__[self.step] = self._replaced
        self._model = None

    def skip(self) -> None:
        """Leave the rest of this validation alone."""
        self.obstacle, self.active = NOT_WATCHED, False

    def _count(self, calls: list[LossCall]) -> None:
        if len(calls) > 1:
            self.obstacle = SEVERAL_CALLS
        elif calls:
            with torch.no_grad():
                keep = not self._rows.independent
                self._tally, self.obstacle = count(calls[0], self._tally, self._center, keep)


def with_intervals(found: Evidence, each_row: list[Tensor], rows: Rows) -> Evidence:
    """Add `loss_half` and `accuracy_half`, for rows that depend on each other.

    Args:
        each_row: of each call (n, 1 or 2), the errors of its rows, and whether they were answered correctly.
    """
    values = torch.cat(each_row).cpu().numpy()
    if not found.whole or found.targets_per_row != 1 or found.rows != len(values):
        return found
    halves = [half_interval(column, rows) for column in values.T]
    return replace(found, loss_half=halves[0], accuracy_half=halves[1] if len(halves) > 1 else math.nan)
