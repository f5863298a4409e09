"""Where scalars go: TensorBoard's events and metrics.csv, both written once a second instead of at every step.

Opening and flushing files costs more than a step of a small network.
"""

import csv
import math
import time
from abc import abstractmethod
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only, rank_zero_warn

from callbacks.files import appending, replacing
from runtime.errors import UsageError

PAUSE = 1.0  # seconds between two writes


@dataclass
class Row:
    """What was logged at one step, and when."""

    step: int | None
    seconds: float
    values: dict[str, Any]


class BufferedLogger(Logger):
    """Collects what belongs to one step; writes once a second, before every checkpoint and at the end.

    The newest row waits, because more values of its step may follow; only a checkpoint or the end writes it at once.
    So the contents of a row do not depend on the clock.
    """

    rows: list[Row]
    _written = 0.0

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        if self.rows and self.rows[-1].step == step:
            self.rows[-1].values.update(metrics)
        else:
            self.rows.append(Row(step, time.time(), dict(metrics)))
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Lightning calls this after everything it logs."""
        if time.monotonic() - self._written >= PAUSE:
            self._write(len(self.rows) - 1)

    @rank_zero_only
    def flush(self) -> None:
        """Write everything."""
        self._write(len(self.rows))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.flush()

    def _write(self, count: int) -> None:
        rows = self.rows[:count]
        self._written = time.monotonic()
        if rows:
            self.write(rows)
            self.rows = self.rows[count:]  # if the disk is full, they are kept

    @abstractmethod
    def write(self, rows: list[Row]) -> None:
        """Write rows to their destination."""


class BufferedTensorBoardLogger(BufferedLogger, TensorBoardLogger):
    """TensorBoard, with one event for everything logged at a step."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = []

    @rank_zero_only
    def flush(self) -> None:
        super().flush()
        TensorBoardLogger.save(self)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        super().finalize(status)
        TensorBoardLogger.finalize(self, status)

    def write(self, rows: list[Row]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        writer = self.experiment.file_writer
        for row in rows:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in row.values.items()]
            writer.add_summary(Summary(value=values), row.step, row.seconds)
        writer.flush()


class MetricsCSV(BufferedLogger):
    """Writes every scalar that goes to TensorBoard into a table, too.

    Lightning's CSVLogger deletes the file of a resumed run; this one keeps it.

    Args:
        folder: of the run; `metrics.csv` in it gets a column for `step`, `epoch` and each tag.
        purge_step: step at which a resumed run starts; rows from this step on are removed before the first new row is
            written, as they are logged again. A run that fails before it trains loses none.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        super().__init__()
        self.path = folder / "metrics.csv"
        self.rows = []
        self._purge_step = purge_step
        if purge_step is not None:
            self._columns_in_file()  # refuses a damaged table before the training

    @property
    def name(self) -> str:
        return self.path.parent.parent.name

    @property
    def version(self) -> str:
        return self.path.parent.name

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml holds them."""

    def write(self, rows: list[Row]) -> None:
        """Append rows; a tag seen for the first time gets a column."""
        self._purge()
        known = self._columns_in_file()
        new = [tag for row in rows for tag in ("step", *row.values) if tag not in known]
        columns = [*known, *dict.fromkeys(new)]
        if new:
            self._rewrite(columns)
        with appending(self.path) as file:
            csv.DictWriter(file, columns).writerows({"step": row.step, **row.values} for row in rows)

    def _purge(self) -> None:
        purge_step, self._purge_step = self._purge_step, None
        if purge_step is not None and self.path.exists():
            self._rewrite(self._columns_in_file(), before=purge_step)

    def _columns_in_file(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            columns = next(csv.reader(file), [])
        if columns and "step" not in columns:
            raise UsageError(
                f"{self.path} has no column `step` in its first line; repair it, or move it away"
            )
        return columns

    def _rewrite(self, columns: list[str], before: float = math.inf) -> None:
        """Give the table more columns, or keep only the steps before `before`.

        The file is replaced as a whole, so that a kill leaves either the old or the new one.
        """
        old = [row for row in self._rows_in_file() if float(row["step"] or 0) < before]
        with replacing(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(old)

    def _rows_in_file(self) -> Iterator[dict[str, str]]:
        """The rows, without damaged ones: a kill may cut the last line short, and a disk may return anything."""
        if not self.path.exists():
            return
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.DictReader(line for line in file if line.endswith("\n"))
            for row in reader:
                if is_whole(row):
                    yield row
                else:
                    rank_zero_warn(f"{self.path}: line {reader.line_num} is damaged and left out")


def is_whole(row: Mapping[str | None, Any]) -> bool:
    """Whether a row of the table has a number of a step, and no more cells than there are columns."""
    try:
        float(row["step"] or 0)
    except (KeyError, ValueError):
        return False
    return None not in row
