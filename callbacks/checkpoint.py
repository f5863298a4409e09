"""best.ckpt and last.ckpt."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best state so far as `best.ckpt`, and remembers all metrics that were measured with it.

    Args:
        monitor: metric that decides.
        mode: "min" or "max".
        kwargs: see `ModelCheckpoint`.
    """

    def __init__(self, monitor: str = "val/loss", mode: str = "min", **kwargs: Any) -> None:
        super().__init__(monitor=monitor, mode=mode, filename="best", enable_version_counter=False, **kwargs)
        self.best_metrics: dict[str, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        before = self.best_model_score
        super().on_validation_end(trainer, pl_module)
        self._remember(trainer, before)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        before = self.best_model_score
        super().on_train_epoch_end(trainer, pl_module)
        self._remember(trainer, before)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fill TensorBoard's HPARAMS tab."""
        best = {f"best/{name.removeprefix('val/')}": value for name, value in self.best_metrics.items()}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and best:
                logger.log_hyperparams(_columns(pl_module), best)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "best_metrics": self.best_metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.best_metrics = state_dict["best_metrics"]

    def _remember(self, trainer: Trainer, before: object) -> None:
        if self.best_model_score is before:
            return
        metrics = {
            name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")
        }
        self.best_metrics = {"epoch": trainer.current_epoch, "step": trainer.global_step, **metrics}


def _columns(model: LightningModule) -> dict[str, Any]:
    """Its class and its hyper-parameters, without what the command line puts there for itself."""
    hparams = {name: value for name, value in model.hparams.items() if not name.startswith("_")}
    return {"model": type(model).__name__, **hparams}


class LastCheckpoint(ModelCheckpoint):
    """Keeps the newest state as `last.ckpt`, from which a run goes on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(filename="last", enable_version_counter=False, **kwargs)
