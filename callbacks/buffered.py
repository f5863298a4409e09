"""Loggers that keep rows for a moment and write them together: opening and flushing files costs more than small steps."""

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

PAUSE = 1.0  # seconds between two writings


@dataclass
class Row:
    """What was logged at one step, and when."""

    step: int | None
    seconds: float
    values: dict[str, Any]


class BufferedLogger(Logger):
    """Collects what belongs to one step, and writes once a second, before every checkpoint and at the end.

    The newest row waits for more, except before a checkpoint and at the end: when it is written, what belongs to it does
    not depend on the clock.
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
        """Lightning calls this after everything that it logs."""
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
        """Put rows where they stay."""


class Board(BufferedLogger, TensorBoardLogger):
    """TensorBoard, with one event for all that was logged at a step."""

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

        writer = self.experiment._get_file_writer()
        for row in rows:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in row.values.items()]
            writer.add_summary(Summary(value=values), row.step, row.seconds)
        writer.flush()
