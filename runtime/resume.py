"""Resume from a checkpoint exactly where it was written, even within an epoch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from runtime import private
from runtime.epoch_state import epoch_sums, random_states, restore_epoch_sums, restore_random_states
from runtime.loggers import BufferedLogger

KEY = "exact_resume"  # in the checkpoint: one state per process
STEPS_BETWEEN_AGREEMENTS = 10  # on whether to save or stop; asking all processes costs a communication


class ExactResume(Callback):
    """Adds to every checkpoint what Lightning leaves out, and says when a checkpoint is exact.

    Lightning leaves out the states of the random generators and the sums of the current epoch. Both are restored just
    before the first batch is fetched. A checkpoint is exact between two steps, before the next batch is fetched: then
    the step, its hooks, its validation and its schedules are complete. At that point, and before every epoch, this
    callback calls `between_steps(trainer, batches_done)` of every callback that has it; `batches_done` is 0 between
    two epochs. At the end it calls `after_last_step(trainer)`.

    It must be the first callback: what others do at the start or end of an epoch comes after the checkpoint.
    """

    def __init__(self) -> None:
        self._pending: list[dict[str, Any]] = []
        self._asked: list[Any] = []  # the callbacks to call between two steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._asked = [callback for callback in trainer.callbacks if hasattr(callback, "between_steps")]
        fit_loop = trainer.fit_loop
        epochs = fit_loop.epoch_progress.current
        if fit_loop.restarting and epochs.ready == epochs.completed:
            # With `max_steps`, Lightning treats every checkpoint as one within an epoch, and would skip the next epoch.
            private.count_as_begun(trainer)
        # A schedule that asked for the length of the training made the loaders before there was a state.
        private.load_loader_states(trainer)
        private.call_before_fetch(trainer, partial(self._before_fetch, trainer))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._pending:
            private.draw_order_now(trainer)
        self._restore(trainer)
        self._announce(trainer, 0)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for callback in trainer.callbacks:
            if hasattr(callback, "after_last_step"):
                callback.after_last_step(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        private.call_nothing_before_fetch(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        for logger in trainer.loggers:  # values logged before the checkpoint are not logged again
            logger.flush() if isinstance(logger, BufferedLogger) else logger.save()
        epochs = trainer.fit_loop.epoch_progress.current
        # True for best.ckpt: everything is done except a schedule that follows the epoch's metrics.
        epoch_is_over = epochs.completed < epochs.processed
        state = {
            "plateau_due": epoch_is_over,
            "random": random_states(trainer.strategy.root_device),
            "sums": epoch_sums(trainer, pl_module, epoch_is_over),
        }
        states = [state]
        if trainer.world_size > 1:
            states = [{}] * trainer.world_size
            torch.distributed.all_gather_object(states, state)
        checkpoint[KEY] = states
        for counts in checkpoint["loops"]["fit_loop"]["epoch_progress"].values():
            complete_epoch(counts)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._pending = checkpoint.get(KEY, [])

    def _before_fetch(self, trainer: Trainer, fetch: Callable[[], None]) -> None:
        self._restore(trainer)
        batches_done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if batches_done and private.is_between_steps(trainer):
            self._announce(trainer, batches_done)
        fetch()

    def _announce(self, trainer: Trainer, batches_done: int) -> None:
        for callback in self._asked:
            callback.between_steps(trainer, batches_done)

    def _restore(self, trainer: Trainer) -> None:
        states, self._pending = self._pending, []
        if not states:
            return
        private.leave_no_schedule_out(trainer)
        if len(states) != trainer.world_size:
            rank_zero_warn(
                f"the checkpoint was written by {len(states)} processes and is resumed with {trainer.world_size}: random "
                "numbers will not be those of a run that was never stopped"
            )
            return
        state = states[trainer.global_rank]
        restore_random_states(state["random"], trainer.strategy.root_device)
        restore_epoch_sums(state["sums"], trainer)
        if state["plateau_due"]:
            trainer.fit_loop.epoch_loop.update_lr_schedulers("epoch", update_plateau_schedulers=True)


def complete_epoch(counts: dict[str, int]) -> None:
    """Count a finished epoch as completed, and do not count one that was only announced."""
    if counts["started"] == counts["processed"]:
        counts["ready"] = counts["completed"] = counts["processed"]
