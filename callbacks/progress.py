"""A progress bar that costs little and shows only metrics."""

import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import RichProgressBar

PER_SECOND = 2  # drawing it takes some milliseconds


class Progress(RichProgressBar):
    """Lightning's bar, without the truncated version of the run, updated twice a second.

    Lightning collects all metrics for the bar at every step, however rarely it is drawn.
    """

    def __init__(self) -> None:
        super().__init__(refresh_rate=PER_SECOND)
        self._due = 0.0  # time of the next update

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now >= self._due or trainer.is_last_batch:
            self._due = now + 1 / PER_SECOND
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
