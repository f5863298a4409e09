"""A callback that rewrites a run's page while it trains, so rarely that the training does not notice."""

from __future__ import annotations

import time
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from callbacks.observing import in_words
from callbacks.steps import steps_done
from pages.report import FILE, write_report

PAUSE = 10.0  # seconds between two pages
SHARE = 0.01  # of the training's time, at most, for all pages together
FIRST_COST = 0.5  # seconds that the first page is expected to take


class LivePage(pl.Callback):
    """Writes report.html between two steps, on rank zero; the page at the end is not its business.

    It has none of Lightning's hooks for single steps: `ExactResume` calls `between_steps`. After a page that could not be
    written there is one warning, and no other page.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds = 0.0  # spent so far
        self._started = 0.0
        self._due = float("inf")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.monotonic()
        self.seconds = 0.0
        if trainer.is_global_zero and not trainer.fast_dev_run:
            self._due = self._next(FIRST_COST)

    def between_steps(self, trainer: pl.Trainer, batches_done: int) -> None:
        """Write the page if it is time."""
        if time.monotonic() < self._due:
            return
        began = time.monotonic()
        try:
            write_report(self.folder, "running", steps_done(trainer))
        except Exception as error:  # a page is never worth a training
            self._due = float("inf")
            rank_zero_warn(f"{self.folder / FILE} could not be written ({in_words(error)})")
            return
        cost = time.monotonic() - began
        self.seconds += cost
        self._due = self._next(cost)

    def _next(self, cost: float) -> float:
        """When a page that takes `cost` seconds may be written: after a pause, and within the share."""
        return max(time.monotonic() + PAUSE, self._started + (self.seconds + cost) / SHARE)
