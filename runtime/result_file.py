"""`result.json`: how well a run answers, on the validation and on the test split.

    {"validation": {"checkpoint": "checkpoints/best.ckpt", "step": 1500, "epoch": 2, "rows": 714,
                    "metrics": {"accuracy": {"value": 0.79, "low": 0.76, "high": 0.82,
                                             "constant": 0.594, "constant_words": "always 'died'"}, ...}},
     "test": {...}}

`fit` writes the validation's part at its end, for best.ckpt; `validate` and `test` write theirs.
"""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.data_spec import spec_of
from callbacks.dependent_rows import rows_of
from callbacks.diagnostics import Diagnosis
from callbacks.diagnostics.evidence import Evidence
from callbacks.diagnostics.losses import ValidationWatch
from callbacks.figures import figures
from callbacks.files import write_whole
from callbacks.inside.layers import tensors_of
from callbacks.observing import Observing, observed
from callbacks.steps import steps_done
from runtime.checkpoint import BestCheckpoint
from runtime.evaluation_loaders import gives_each_row_once

FILE = "result.json"
Kept = dict[int, dict[str, Any]]  # by steps done: number of rows, and evidence


class RowCounter:
    """Counts the rows of an evaluation."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._count, self._is_known = 0, True

    def add(self, batch: Any, dataloader_idx: int) -> None:
        first = next(tensors_of(batch), None)
        self._is_known &= dataloader_idx == 0 and first is not None
        self._count += len(first) if first is not None and first.ndim else 0

    def rows(self, trainer: Trainer, loader: Any) -> int | None:
        """Of all processes, which must call it together; None if there are several loaders, or rows are repeated."""
        count, unknown = self._count, not self._is_known
        if trainer.world_size > 1:
            own = [count, int(unknown or not gives_each_row_once(loader))]
            counts = torch.tensor(own, device=trainer.strategy.root_device)
            count, unknown = trainer.strategy.reduce(counts, reduce_op="sum").tolist()
        return count if count and not unknown else None


class BestResult(Callback):
    """Notes at each validation of a training what the figures of the best one will need, and writes them at the end.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._counter = RowCounter()
        self._kept: Kept = {}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._counter.begin()

    @observed
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._counter.add(batch, dataloader_idx)

    @observed
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        best = best_metrics(trainer).get("step")
        diagnosis = next((each for each in trainer.callbacks if isinstance(each, Diagnosis)), None)
        evidence = diagnosis.record.validated if diagnosis else None
        plain = asdict(evidence) if isinstance(evidence, Evidence) else None
        self._kept = {step: kept for step, kept in self._kept.items() if step == best}
        rows = self._counter.rows(trainer, trainer.val_dataloaders)
        self._kept[steps_done(trainer)] = {"rows": rows, "evidence": plain}

    def state_dict(self) -> dict[str, Any]:
        return {"kept": self._kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._kept = state_dict.get("kept", {})

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        with Observing(self, "could not write result.json"):
            self._write(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        with contextlib.suppress(OSError), Observing(self, "could not write result.json"):
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        metrics = best_metrics(trainer)
        if not trainer.is_global_zero or trainer.fast_dev_run or not metrics:
            return
        kept = self._kept.get(int(metrics["step"]), {"rows": None, "evidence": None})
        evidence = Evidence(**kept["evidence"]) if kept["evidence"] else None
        found = {
            "checkpoint": "checkpoints/best.ckpt",
            "step": int(metrics["step"]),
            "epoch": int(metrics["epoch"]),
            "rows": kept["rows"],
            "metrics": figures_of(metrics, evidence, kept["rows"], trainer, "validation"),
        }
        write_part(self.folder, "validation", found)


class EvaluationResult(Callback):
    """Writes the figures of the command `validate` or `test`.

    Args:
        folder: of the run.
        split: "validation" or "test".
        checkpoint: path of the network's weights; None for an untrained one.
        step, epoch: how long it had trained.
    """

    def __init__(self, folder: Path, split: str, checkpoint: str | None, step: int, epoch: int) -> None:
        self.folder, self.split, self.checkpoint = folder, split, checkpoint
        self.step, self.epoch = step, epoch
        self._counter = RowCounter()
        self._watch = ValidationWatch(f"{split}_step", batches=float("inf"))

    @observed
    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._counter.begin()
        self._watch.begin(pl_module)

    @observed
    def _next_batch(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._counter.add(batch, dataloader_idx)
        self._watch.next_batch(batch_idx, dataloader_idx)

    @observed
    def _end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        evidence = self._watch.end()
        loader = trainer.test_dataloaders if self.split == "test" else trainer.val_dataloaders
        rows = self._counter.rows(trainer, loader)
        if not trainer.is_global_zero or trainer.fast_dev_run:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        found = {
            "checkpoint": self.checkpoint,
            "step": self.step,
            "epoch": self.epoch,
            "rows": rows,
            "metrics": figures_of(metrics, evidence, rows, trainer, self.split),
        }
        write_part(self.folder, self.split, found)

    on_validation_start = on_test_start = _begin
    on_validation_batch_start = on_test_batch_start = _next_batch
    on_validation_end = on_test_end = _end

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._watch.restore()


def best_metrics(trainer: Trainer) -> Mapping[str, float]:
    """The metrics of best.ckpt with its `step` and `epoch`; nothing if there is none."""
    return next((each.best_metrics for each in trainer.callbacks if isinstance(each, BestCheckpoint)), {})


def figures_of(
    metrics: Mapping[str, float],
    evidence: Evidence | str | None,
    rows: int | None,
    trainer: Trainer,
    split: str,
) -> dict[str, Any]:
    """The figures of an evaluation of this Trainer's data, of the split "validation" or "test"."""
    data = getattr(trainer, "datamodule", None)
    evidence = (
        evidence if trainer.world_size == 1 else None
    )  # each process has seen its own share of the rows
    answer = evidence.answer if isinstance(evidence, Evidence) else 0
    names = spec_of(data).class_names
    name = f"'{names[answer]}'" if answer < len(names) else f"class {answer}"
    std = getattr(data, "target_std", 1.0)  # a list for several outputs, whose errors have different units
    std = std if isinstance(std, float) else math.nan
    independent = rows_of(data, "test" if split == "test" else "val").independent
    return figures(metrics, evidence, rows, name, std, independent)


def read_result(folder: Path) -> dict[str, Any]:
    """What `result.json` holds; nothing if it is missing or damaged."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_part(folder: Path, split: str, found: dict[str, Any]) -> None:
    """Replace one split's part; what was tested with an older best.ckpt is removed with a new validation of it."""
    parts = read_result(folder)
    parts[split] = found
    tested, best = parts.get("test", {}), found
    if (
        split == "validation"
        and tested.get("checkpoint") == best["checkpoint"]
        and tested["step"] != best["step"]
    ):
        del parts["test"]
    write_whole(folder / FILE, json.dumps(parts, indent=1) + "\n")


def path_in(folder: Path, checkpoint: str | None) -> str | None:
    """A checkpoint's path from its run's folder; as it is if it lies elsewhere."""
    if checkpoint is None:
        return None
    path = os.path.relpath(checkpoint, folder)
    return checkpoint if path.startswith("..") else Path(path).as_posix()
