"""WeightTable: every weight of a small network as a number, over the steps, in `inside/weights.csv`."""

from __future__ import annotations

import contextlib
import csv
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from callbacks.diagnostics.probe import Probe, clean_path
from callbacks.diagnostics.reduction import is_sharded
from callbacks.files import appending, replacing
from callbacks.inside.layers import InsideMonitor, tensors_of
from callbacks.inside.table_units import TableUnits, table_units
from callbacks.observing import observed
from callbacks.pictures.base import datamodule, evaluating
from callbacks.steps import steps_done

FILE, FILE_OF_TABLE_UNITS = "weights.csv", "weights_table_units.csv"
MOST_PARAMETERS = 50  # with more, nobody reads the single numbers
MOST_ROWS = 2000
PAUSE = 1.0  # seconds between two writes
Row = tuple[int, list[float]]  # steps done, and all weights then


class WeightTable(InsideMonitor):
    """Writes the weights before training, at probe steps and at the end, for networks of at most 50 parameters.

    The first column is the number of steps done, the others are named `layers.0.weight[0,1]`. Once there are 2,000 rows,
    every second is dropped, and only every second one to come is kept. If the data module normalizes and linear layers
    read the inputs and answer, `weights_table_units.csv` has the same for inputs and targets as they stand in the table.

    A resumed run keeps the rows up to its checkpoint.

    Args:
        folder: for the files; default: `inside` in the folder of the Trainer's first logger.
    """

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self._rows: list[Row] = []
        self._active = False

    def start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, probe: Probe) -> None:
        super().start(trainer, pl_module, probe)
        active = self.folder is not None and not trainer.fast_dev_run and is_small(pl_module, trainer)
        # All processes must measure at the same steps, and only the first is sure to see the files.
        self._active = trainer.strategy.broadcast(active)
        if not self._active:
            return
        self._names = names_of(pl_module)
        self._units: TableUnits | None = None
        self._knows_units = False
        self._batch: Any = None
        self._saved = 0  # rows in the files
        self._saved_at = 0.0
        done = steps_done(trainer)
        kept = read_rows(self._path(FILE), self._names) if done and trainer.is_global_zero else []
        self._rows = [row for row in kept if row[0] <= done]
        self._stride = trainer.strategy.broadcast(
            stride_of([step for step, _ in self._rows], self._cadence.n)
        )
        if done == 0:
            self._rows.append((0, values_of(pl_module)))

    def is_due(self, step: int) -> bool:
        return super().is_due(step) and self._active and is_kept(step + 1, self._cadence.n, self._stride)

    def start_batch(self, batch: Any, batch_idx: int) -> None:
        self._batch = None if self._knows_units else batch

    def finish(self, trainer: pl.Trainer, numbers: list[float], step: int) -> None:
        if not trainer.is_global_zero:
            return
        if not self._knows_units:
            self._find_units(trainer)
        self._rows.append((step + 1, values_of(trainer.lightning_module)))
        if len(self._rows) > MOST_ROWS:
            self._stride *= 2
            self._rows = [row for row in self._rows if is_kept(row[0], self._cadence.n, self._stride)]
            self._saved = 0
        if time.monotonic() - self._saved_at >= PAUSE:
            self._save()

    @observed
    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Any) -> None:
        """Write what a run that is resumed from this checkpoint does not measure again."""
        self._save()

    @observed
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._active and self._rows and self._rows[-1][0] < steps_done(trainer):
            self._rows.append((steps_done(trainer), values_of(pl_module)))
        self._save()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        with contextlib.suppress(OSError):  # the first error counts
            self._save()

    def stop(self) -> None:
        super().stop()
        self._active, self._batch = False, None

    def _find_units(self, trainer: pl.Trainer) -> None:
        """Find the conversion once, by a forward pass of the first batch."""
        x, self._batch, self._knows_units = next(tensors_of(self._batch), None), None, True
        with evaluating(trainer.lightning_module, trainer), contextlib.suppress(Exception):
            if x is not None:  # a network that cannot be called with it has no such table
                self._units = table_units(trainer.lightning_module, x, datamodule(trainer))

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / name

    def _save(self) -> None:
        """Write the rows that are not in the files yet; all of them for the first time, and after some were dropped."""
        if not self._active or not self._knows_units or self._saved == len(self._rows):
            return
        new = self._rows[self._saved :]
        tables = {FILE: new}
        if self._units is not None:
            converted = self._units.convert(np.array([values for _, values in new])).tolist()
            tables[FILE_OF_TABLE_UNITS] = [(step, row) for (step, _), row in zip(new, converted, strict=True)]
        self._path(FILE).parent.mkdir(parents=True, exist_ok=True)
        for name, rows in tables.items():
            write_rows(self._path(name), self._names if self._saved == 0 else None, rows)
        self._saved, self._saved_at = len(self._rows), time.monotonic()


def is_small(model: nn.Module, trainer: pl.Trainer) -> bool:
    """Whether a network has so few parameters that each can be looked at, and this process has all of them."""
    parameters = list(model.parameters())
    if any(nn.parameter.is_lazy(each) or is_sharded(each, trainer) for each in parameters):
        return False
    return 0 < sum(each.numel() for each in parameters) <= MOST_PARAMETERS


def names_of(model: nn.Module) -> list[str]:
    """The name of each number: of its parameter, with its place in it."""
    return [
        clean_path(name) + (f"[{','.join(map(str, place))}]" if place else "")
        for name, parameter in model.named_parameters()
        for place in np.ndindex(*parameter.shape)
    ]


def values_of(model: nn.Module) -> list[float]:
    """All parameters, in one copy to the host."""
    flat: list[Tensor] = [parameter.detach().flatten().double() for parameter in model.parameters()]
    return torch.cat(flat).tolist()


def is_kept(step: int, every: int, stride: int) -> bool:
    """Whether a row of so many steps done is among every `stride`-th of the probe steps, or the first two rows."""
    return step <= 1 or step % (every * stride) == 0


def stride_of(steps: Sequence[int], every: int) -> int:
    """The stride with which an earlier part of the training kept its rows: the largest power of two that fits them."""
    # without the last row, which may be that of a training's end
    counts = [step // every for step in steps[:-1] if step > 1 and step % every == 0]
    stride = 1
    while len(counts) > 1 and all(count % (2 * stride) == 0 for count in counts):
        stride *= 2
    return stride


def write_rows(path: Path, names: Sequence[str] | None, rows: Iterable[Row]) -> None:
    """Append rows to a table; with `names`, write a new one in the place of the old."""
    cells = [[step, *(f"{value:.9g}" for value in values)] for step, values in rows]
    if names is None:
        with appending(path) as file:
            csv.writer(file).writerows(cells)
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["step", *names], *cells])


def read_rows(path: Path, names: Sequence[str]) -> list[Row]:
    """The whole rows of a table with these columns; none if it has others."""
    if not path.exists():
        return []
    rows: list[Row] = []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.reader(line for line in file if line.endswith("\n"))
        if next(reader, None) != ["step", *names]:
            return []
        for cells in reader:
            with contextlib.suppress(ValueError):
                rows.append((int(cells[0]), [float(cell) for cell in cells[1:]]))
    return [row for row in rows if len(row[1]) == len(names)]
