"""A progress bar that costs little and shows metrics only."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import RichProgressBar


class Progress(RichProgressBar):
    """Lightning's bar, brought up to date every tenth step, without the cut-off version of the run.

    Lightning collects all metrics for it at every step, however rarely it is redrawn.
    """

    def __init__(self) -> None:
        super().__init__(refresh_rate=10)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % self.refresh_rate == 0 or trainer.is_last_batch:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
