"""best.ckpt and last.ckpt."""

import os
import time
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from callbacks.steps import steps_done
from runtime.hparams import columns_of
from runtime.private import let_save_again, logged_now, saves_within_epochs
from runtime.resume import STEPS_BETWEEN_AGREEMENTS

SECONDS_BETWEEN_EPOCHS = 5.0  # between two checkpoints at the ends of short epochs


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best state so far as `best.ckpt`, and remembers what the validation logged with it, under any name.

    Args:
        monitor: metric that decides which state is best.
        mode: "min" or "max".
        settings: the run's config, whose settings of data and trainer are columns of HPARAMS.
        kwargs: see `ModelCheckpoint`.
    """

    def __init__(
        self, monitor: str = "val/loss", mode: str = "min", settings: Namespace | None = None, **kwargs: Any
    ) -> None:
        super().__init__(monitor=monitor, mode=mode, filename="best", enable_version_counter=False, **kwargs)
        self.settings = settings
        self.best_metrics: dict[str, float] = {}
        self._validated: set[str] = set()  # names of what the last validation logged
        self._saved_step = 0

    def on_train_batch_end(self, *args: Any) -> None:
        """Save during an epoch only if steps or minutes were asked for."""
        if saves_within_epochs(self):
            super().on_train_batch_end(*args)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        before = self.best_model_score
        self._validated = logged_now(trainer)
        self._notice_steps(trainer)
        super().on_validation_end(trainer, pl_module)
        self._remember(trainer, before)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor not in trainer.callback_metrics and not trainer.enable_validation:
            return  # there is no best epoch, as the summary says
        before = self.best_model_score
        self._notice_steps(trainer)
        super().on_train_epoch_end(trainer, pl_module)
        self._remember(trainer, before)

    def after_last_step(self, trainer: Trainer) -> None:
        """Fill TensorBoard's HPARAMS tab before the last checkpoint marks the run as complete."""
        best = {f"best/{name.removeprefix('val/')}": value for name, value in self.best_metrics.items()}
        columns = columns_of(trainer.lightning_module, self.settings)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and best:
                # The step lets TensorBoard hide this entry once the run is resumed.
                logger.log_hyperparams(columns, best, step=steps_done(trainer))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "best_metrics": self.best_metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score, even if the folder was moved; Lightning would forget the score then."""
        path = os.path.join(self.dirpath or "", "best.ckpt")
        best = dict(zip([path], state_dict["best_k_models"].values(), strict=False))
        paths = {"best_k_models": best, "best_model_path": path, "kth_best_model_path": path} if best else {}
        super().load_state_dict({**state_dict, **paths, "dirpath": self.dirpath})
        self.best_metrics = state_dict["best_metrics"]

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        """Remember the metrics before saving, because a run may resume from this very file."""
        self._remember(trainer, None)
        super()._save_checkpoint(trainer, filepath)
        self._saved_step = steps_done(trainer)

    def _notice_steps(self, trainer: Trainer) -> None:
        """Lightning saves once for each `global_step`, which some optimizers of manual optimization leave at 0."""
        if steps_done(trainer) != self._saved_step:
            let_save_again(self)

    def _remember(self, trainer: Trainer, before: object) -> None:
        if self.best_model_score is before:
            return
        known = self._validated | {self.monitor}
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name in known or name.startswith("val/")
        }
        self.best_metrics = {"epoch": trainer.current_epoch, "step": steps_done(trainer), **metrics}


class LastCheckpoint(Checkpoint):
    """Keeps the newest state as `last.ckpt`, from which a run resumes. A kill loses only the time since the last save.

    It is written after every epoch (at most every 5 seconds if epochs are shorter), within an epoch every so many
    minutes or steps, after the first checkpoint of another callback, and at the end. It needs an `ExactResume`, which
    says when saving is exact.

    Args:
        dirpath: folder of checkpoints.
        every_n_minutes: time between two checkpoints within an epoch.
        every_n_steps: steps between two checkpoints, used instead of minutes.
    """

    def __init__(
        self, dirpath: str | Path, *, every_n_minutes: float = 5.0, every_n_steps: int | None = None
    ) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ValueError(f"every_n_steps is {every_n_steps}; it must be at least 1")
        self.path = Path(dirpath) / "last.ckpt"
        self.every_n_minutes = every_n_minutes
        self.every_n_steps = every_n_steps
        self._saved_step = 0
        self._saved_at = 0.0
        self._saved_elsewhere = False  # another was written, and nothing yet from which a run resumes exactly

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        resumed_elsewhere = trainer.ckpt_path is not None and Path(trainer.ckpt_path) != self.path
        self._saved_step = -1 if resumed_elsewhere else steps_done(trainer)
        self._saved_at = time.monotonic()
        self._has_saved = (
            trainer.ckpt_path is not None
        )  # not `path.exists()`, on which NFS clients may disagree
        if steps_done(trainer) == 0:
            self._saved_at -= SECONDS_BETWEEN_EPOCHS  # the first epoch is always saved

    def on_save_checkpoint(self, *args: Any) -> None:
        self._saved_elsewhere = not self._has_saved

    def between_steps(self, trainer: Trainer, batches_done: int) -> None:
        """Save if it is time."""
        if steps_done(trainer) > self._saved_step and self._is_due(trainer, batches_done):
            self._save(trainer)

    def after_last_step(self, trainer: Trainer) -> None:
        """Save unless nothing has changed since the last save; runs before averaged weights replace the weights."""
        if steps_done(trainer) > self._saved_step or trainer.should_stop:
            self._save(trainer)

    def _is_due(self, trainer: Trainer, batches_done: int) -> bool:
        """Whether to save now. Processes must agree on the time, which costs a communication, so they ask rarely."""
        if self._saved_elsewhere:
            return True
        if self.every_n_steps is not None:
            enough = steps_done(trainer) - self._saved_step >= self.every_n_steps
            if enough or batches_done:
                return enough
        seconds = 60 * self.every_n_minutes if batches_done else SECONDS_BETWEEN_EPOCHS
        is_due = time.monotonic() - self._saved_at >= seconds
        if trainer.world_size == 1 or batches_done % STEPS_BETWEEN_AGREEMENTS:
            return is_due and trainer.world_size == 1
        return trainer.strategy.reduce_boolean_decision(is_due, all=False)

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)  # with the optimizer's state
        self._saved_step, self._saved_at = steps_done(trainer), time.monotonic()
        self._has_saved, self._saved_elsewhere = True, False
