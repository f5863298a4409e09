"""Where scalars go: TensorBoard's events and metrics.csv, both written once a second instead of at every step.

Opening and flushing files costs more than a step of a small network.
"""

import csv
import math
import time
from abc import abstractmethod
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from callbacks.files import replacing

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
        rows, self.rows = self.rows[:count], self.rows[count:]
        self._written = time.monotonic()
        if rows:
            self.write(rows)

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
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, columns).writerows({"step": row.step, **row.values} for row in rows)

    def _purge(self) -> None:
        purge_step, self._purge_step = self._purge_step, None
        if purge_step is not None and self.path.exists():
            self._rewrite(self._columns_in_file(), before=purge_step)

    def _columns_in_file(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def _rewrite(self, columns: list[str], before: float = math.inf) -> None:
        """Give the table more columns, or keep only the steps before `before`.

        The file is replaced as a whole, so that a kill leaves either the old or the new one.
        """
        old: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                whole = (line for line in file if line.endswith("\n"))  # a kill may cut the last line short
                old = [row for row in csv.DictReader(whole) if float(row["step"] or 0) < before]
        with replacing(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(old)
