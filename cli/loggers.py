"""metrics.csv: one row for each step at which something was logged; a run that goes on appends to it."""

import csv
import math
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities.rank_zero import rank_zero_only

from callbacks.buffered import BufferedLogger, Row


class MetricsCSV(BufferedLogger):
    """Writes every scalar that goes to TensorBoard into a table as well.

    Lightning's CSVLogger deletes the file of a run that is resumed; this one keeps it.

    Args:
        folder: of the run; the table is `metrics.csv` in it, with a column for `step`, `epoch` and each tag.
        purge_step: of a run that goes on, the step it goes on with: rows from there on are logged once more.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        super().__init__()
        self.path = folder / "metrics.csv"
        self.rows = []
        if purge_step is not None:
            self._purge(purge_step)

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
        """They stand in config.yaml."""

    def write(self, rows: list[Row]) -> None:
        """Append rows; a tag seen for the first time gets a column."""
        known = self._columns_in_file()
        new = [tag for row in rows for tag in ("step", *row.values) if tag not in known]
        columns = [*known, *dict.fromkeys(new)]
        if new:
            self._rewrite(columns)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, columns).writerows({"step": row.step, **row.values} for row in rows)

    @rank_zero_only
    def _purge(self, purge_step: int) -> None:
        if self.path.exists():
            self._rewrite(self._columns_in_file(), before=purge_step)

    def _columns_in_file(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def _rewrite(self, columns: list[str], before: float = math.inf) -> None:
        """Give the table more columns, or keep only the steps before one.

        It is replaced as a whole, so that a kill leaves the old or the new one.
        """
        old: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                whole = (line for line in file if line.endswith("\n"))  # a kill may cut the last one short
                old = [row for row in csv.DictReader(whole) if float(row["step"] or 0) < before]
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(old)
        os.replace(temporary, self.path)
