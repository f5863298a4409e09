"""Resume from a checkpoint exactly where it was written, even within an epoch."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import StochasticWeightAveraging
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from datamodules.resumable import ResumableLoader
from runtime import private
from runtime.end_record import End, write_end
from runtime.ending import end_of, limits_of
from runtime.epoch_state import epoch_sums, random_states, restore_epoch_sums, restore_random_states
from runtime.loggers import BufferedLogger
from runtime.module_modes import module_modes, restore_module_modes

KEY = "exact_resume"  # in the checkpoint: one state per process
# What a run that is resumed from a checkpoint loses.
NOTHING, FIGURES, PART_OF_A_STEP = 0, 1, 2
STEPS_BETWEEN_AGREEMENTS = 10  # on whether to save or stop; asking all processes costs a communication


class ExactResume(Callback):
    """Adds to every checkpoint what Lightning leaves out, and says when a checkpoint is exact.

    Lightning leaves out the states of the random generators and the sums of the current epoch. Both are restored just
    before the first batch is fetched. A checkpoint is exact between two steps, before the next batch is fetched: then
    the step, its hooks, its validation, its schedules and its figures are complete. At that point, and before every
    epoch, this callback calls `between_steps(trainer, batches_done)` of every callback that has it; `batches_done` is 0
    between two epochs. At the end it calls `after_last_step(trainer)`. A checkpoint written at another moment, by any
    callback, says itself what would be lost (see `lost_by_resuming`).

    A checkpoint of the end also holds how the training ended. A run resumed from it ends at once, with all hooks of the
    end, unless a limit such as `max_epochs` is larger now. `end` is how this training ended; None before.

    It must be the first callback: what others do at the start or end of an epoch comes after the checkpoint.
    """

    def __init__(self) -> None:
        self._pending: list[dict[str, Any]] = []
        self._asked: list[Any] = []  # the callbacks to call between two steps
        self._is_exact = False  # whether a checkpoint written now would be
        self.end: End | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (
            self._pending
        ):  # not earlier: `configure_optimizers` may ask what is trained, as it did in the first run
            restore_module_modes(self._pending[0].get("modes", {}), pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._asked = [callback for callback in trainer.callbacks if hasattr(callback, "between_steps")]
        if self.end is not None and self.end.is_overruled(limits_of(trainer)):
            self.end = None
        trainer.should_stop = trainer.should_stop or self.end is not None
        fit_loop = trainer.fit_loop
        epochs = fit_loop.epoch_progress.current
        if fit_loop.restarting and epochs.ready == epochs.completed:
            # With `max_steps`, Lightning treats every checkpoint as one within an epoch, and would skip the next epoch.
            private.count_as_begun(trainer)
        load_loader_states(trainer)
        for callback in trainer.callbacks:
            if isinstance(callback, StochasticWeightAveraging):
                private.resume_averaging(callback, trainer, pl_module)
        if fit_loop.restarting and self._pending and self._pending[0]["lost"] == NOTHING:
            private.count_step_as_done(trainer)
        private.call_before_fetch(trainer, partial(self._before_fetch, trainer))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._pending:
            private.draw_order_now(trainer)
        self._restore(trainer)
        self._announce(trainer, 0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore(trainer)  # the checkpoint is from the epoch's last validation, and no batch was left

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore(trainer)  # the checkpoint is from the end, and no epoch was left
        self._is_exact = True
        self.end = self.end or end_of(trainer)
        for callback in trainer.callbacks:
            if hasattr(callback, "after_last_step"):
                callback.after_last_step(trainer)
        self._is_exact = False

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
        step_is_over = self._is_exact or epoch_is_over
        state = {
            "lost": self._lost(trainer),
            "end": asdict(self.end) if self.end else None,
            "logged_steps": private.logged_steps(trainer)
            + (not step_is_over and not private.accumulates(trainer)),
            "plateau_due": epoch_is_over,
            "plateau_by_step_due": trainer.validating,
            "random": random_states(trainer.strategy.root_device),
            "modes": module_modes(trainer, pl_module),
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
        end = self._pending[0]["end"] if self._pending else None
        self.end = End(**end) if end else None

    def _before_fetch(self, trainer: Trainer, fetch: Callable[[], None]) -> None:
        self._restore(trainer)
        batches_done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if batches_done and not private.accumulates(trainer):
            self._announce(trainer, batches_done)
        fetch()

    def _announce(self, trainer: Trainer, batches_done: int) -> None:
        self._is_exact = True
        for callback in self._asked:
            callback.between_steps(trainer, batches_done)
        self._is_exact = False

    def _lost(self, trainer: Trainer) -> int:
        if self._is_exact:
            return NOTHING
        within = private.is_within_batch(trainer) or private.accumulates(trainer)
        return PART_OF_A_STEP if within else FIGURES

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
        for interval, name in (("step", "plateau_by_step_due"), ("epoch", "plateau_due")):
            if state.get(name):  # checkpoints of older versions do not have both
                trainer.fit_loop.epoch_loop.update_lr_schedulers(interval, update_plateau_schedulers=True)


def load_loader_states(trainer: Trainer) -> None:
    """Load the states of the loaders that Lightning has left out.

    Between two epochs only those of this project's loaders: others may believe that they are within the last epoch, as
    its end was not asked for. The batches of that epoch do not matter then; the next one may be cut into others.
    """
    found, is_within = private.take_loader_states(trainer), trainer.fit_loop.restarting
    for loader, state in found:
        if is_within:
            loader.load_state_dict(state)
        elif isinstance(loader, ResumableLoader):
            loader.load_state_dict({**state, "next_batch": 0})
    if found and is_within:
        private.begin_fetching(trainer)


def record_end(trainer: Trainer, folder: Path) -> End | None:
    """Write how the training of this Trainer ended; None if it had nothing to train."""
    end = next(each.end for each in trainer.callbacks if isinstance(each, ExactResume))
    if end is not None and trainer.is_global_zero and not trainer.fast_dev_run:
        write_end(folder, end)
    return end


def lost_by_resuming(checkpoint: dict[str, Any]) -> int:
    """What a run that is resumed from a checkpoint loses: NOTHING, FIGURES or PART_OF_A_STEP.

    FIGURES: those of the step and of the epoch may be logged after the checkpoint was written. PART_OF_A_STEP: gradients
    of a step that accumulates batches, or its hooks, are not in the checkpoint.
    """
    return max((state["lost"] for state in checkpoint.get(KEY, ())), default=NOTHING)


def first_step_to_log(checkpoint: dict[str, Any]) -> int:
    """The step that a run resumed from a checkpoint logs first; what was logged from this step on is logged again."""
    states = checkpoint.get(KEY)
    return states[0]["logged_steps"] if states else checkpoint["global_step"]


def complete_epoch(counts: dict[str, int]) -> None:
    """Count a finished epoch as completed, and do not count one that was only announced."""
    if counts["started"] == counts["processed"]:
        counts["ready"] = counts["completed"] = counts["processed"]
