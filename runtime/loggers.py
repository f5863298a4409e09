"""Scalars are written once a second instead of at every step, into metrics.csv and into TensorBoard's events.

Opening and flushing files costs more than a step of a small network. For TensorBoard, see `tensorboard.py`.
"""

import csv
import math
import time
from abc import abstractmethod
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only, rank_zero_warn

from callbacks.files import appending, replacing
from runtime.errors import UsageError

PAUSE = 1.0  # seconds between two writes


@dataclass
class Row:
    """What was logged at one step, and when; `learning` holds metrics that only TensorBoard's learning curves get."""

    step: int | None
    seconds: float
    values: dict[str, Any]
    learning: dict[str, float] = field(default_factory=dict)


class BufferedLogger(Logger):
    """Collects what belongs to one step; writes once a second, before every checkpoint and at the end.

    The newest row waits, because more values of its step may follow; only a checkpoint or the end writes it at once.
    So the contents of a row do not depend on the clock.
    """

    rows: list[Row]
    _written = 0.0
    _latest = 0.0  # seconds since 1970, of the newest row

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        values = as_numbers(metrics)
        if self.rows and self.rows[-1].step == step:
            self.rows[-1].values.update(values)
        else:
            self._latest = max(
                self._latest, time.time()
            )  # a clock that was set back would reorder the curves
            self.rows.append(Row(step, self._latest, values))
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


def as_numbers(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, int | float]:
    """What was logged as numbers; nested names are joined by a slash.

    Raises:
        ValueError: for a value that is not one number.
    """
    numbers: dict[str, int | float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            numbers |= as_numbers(value, f"{prefix}{name}/")
            continue
        try:
            numbers[prefix + name] = value if type(value) in (int, float) else as_number(value)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(
                f"the logged value {prefix}{name} is {value!r:.60}; it must be one number"
            ) from None
    return numbers


def as_number(value: Any) -> int | float:
    """A tensor or an array of one element, or anything else that is a number."""
    number = value.item() if hasattr(value, "item") else value
    return number if isinstance(number, int | float) and not isinstance(number, bool) else float(number)


class MetricsCSV(BufferedLogger):
    """Writes every scalar that goes to TensorBoard into a table, too.

    Lightning's CSVLogger deletes the file of a resumed run; this one keeps it.

    Args:
        folder: of the run; `metrics.csv` in it gets a column for `step`, `epoch` and each tag.
        purge_step: step at which a resumed run starts; rows from this step on are removed before the first new row is
            written, as they are logged again. A run that fails before it trains loses none.
        step: of all rows, in an evaluation: that of the checkpoint, as Lightning counts no steps then.
    """

    def __init__(self, folder: Path, purge_step: int | None = None, step: int | None = None) -> None:
        super().__init__()
        self._step = step
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

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        super().log_metrics(metrics, step if self._step is None else self._step)

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

    def keep(self, before: float) -> list[str]:
        """Remove the rows from step `before` on; returns the columns."""
        self._rewrite(columns := self._columns_in_file(), before)
        return columns

    def _purge(self) -> None:
        purge_step, self._purge_step = self._purge_step, None
        if purge_step is not None and self.path.exists():
            self.keep(purge_step)

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
