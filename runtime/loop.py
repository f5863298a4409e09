"""Lightning's loop over the batches of an epoch, without the overhead that dominates a small network's step.

For each step Lightning calls some 900 functions to find out what does not change within an epoch: which hooks are
implemented, which strategy, precision and profiler there are, whether batches are accumulated. This loop asks once
per epoch. The hooks, their order and arguments, the counters and the arithmetic stay the same. A training that needs
more uses Lightning's own loop.
"""

from collections import OrderedDict
from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from runtime import private
from runtime.logged_values import Results
from runtime.metric_schedules import MetricSchedules, followers
from runtime.private import Closure, ClosureResult, DataFetcher, FitLoop, TrainingEpochLoop
from runtime.step_plan import Epoch, why_not_lean


def use_lean_loop(trainer: pl.Trainer) -> None:
    """Make a Trainer run its epochs with `LeanEpochLoop`; call this before it fits."""
    usual, epochs = trainer.fit_loop, trainer.fit_loop.epoch_loop
    trainer.fit_loop = CompletingFitLoop(trainer, usual.min_epochs, usual.max_epochs)
    trainer.fit_loop.epoch_loop = LeanEpochLoop(trainer, epochs.min_steps, epochs.max_steps)
    trainer.callbacks.insert(0, trainer.fit_loop.epoch_loop.metric_schedules)


class CompletingFitLoop(FitLoop):
    """Lightning's loop over epochs, which also calls the hooks of the end if a resumed run has no step left.

    A kill or a full disk may have come between the last step and the end of these hooks.
    """

    @property
    def skip(self) -> bool:
        if self.is_resuming and self.trainer.limit_train_batches != 0:
            return self.max_batches == 0
        return super().skip


class LeanEpochLoop(TrainingEpochLoop):
    """Runs an epoch as Lightning's own loop does, with a third of the calls."""

    _epoch: Epoch

    def __init__(self, trainer: pl.Trainer, min_steps: int | None, max_steps: int) -> None:
        super().__init__(trainer, min_steps, max_steps)
        self._results = Results(training=True)
        self.metric_schedules = MetricSchedules()
        self.obstacle: str | None = "it has not begun"  # why this loop cannot be lean

    @property
    def global_step(self) -> int:
        """Optimizer steps so far."""
        if self.obstacle is None:
            return self.automatic_optimization.optim_progress.optimizer.step.total.completed
        return super().global_step

    def on_run_start(self, data_fetcher: DataFetcher) -> None:
        """Find out what stays the same for the whole epoch."""
        super().on_run_start(data_fetcher)
        self.obstacle = why_not_lean(self.trainer, data_fetcher)
        self._epoch = Epoch.of(self.trainer, len(self._build_kwargs(OrderedDict(), None, 0)))
        self._results.changed = True

    def advance(self, data_fetcher: DataFetcher) -> None:
        """Run one batch and one optimizer step.

        Raises:
            StopIteration: at the end of a loader without a known length.
        """
        self._results.names.clear()
        if self.obstacle or self.restarting or self.val_loop.restarting:
            super().advance(data_fetcher)  # what a resumed run has to reset is Lightning's business
        else:
            self._run_batch(data_fetcher)
        if self._is_last_step(self.global_step) and not self._logs_now():
            private.log_step(self.trainer, self._results.names)

    def _run_batch(self, data_fetcher: DataFetcher) -> None:
        trainer, epoch, progress, results = self.trainer, self._epoch, self.batch_progress, self._results
        batch, batch_idx = self._next_batch(data_fetcher), progress.current.ready
        progress.is_last_batch = data_fetcher.done
        batch = self._on_device(batch)
        progress.increment_ready()
        connector = private.logger_connector(trainer)
        private.begin_batch(connector)
        results.batch, results.batch_size, results.dataloader_idx = batch, None, None
        outputs = None
        if batch is None:
            self._warning_cache.warn("the training loader gave None instead of a batch; there is no step")
        else:
            outputs, batch = self._step(batch, batch_idx)
        progress.increment_processed()
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
            if self._num_ready_batches_reached():
                self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        epoch.call("on_train_batch_end", outputs, batch, batch_idx)
        if results.changed:
            connector.on_batch_end()
            results.changed = False
        results.batch = results.batch_size = None
        progress.increment_completed()
        if self._logs_now():
            connector.update_train_step_metrics()

    def on_advance_end(self, data_fetcher: DataFetcher) -> None:
        """Validate if it is time."""
        if self.obstacle or self._skip_next_val or self._should_check_val_fx(data_fetcher):
            super().on_advance_end(data_fetcher)
            self._results.changed = True  # a validation may have logged under the same names
            return
        if self.trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=True)
        self._batches_that_stepped += 1
        self._save_loggers_on_train_batch_end()
        if self.trainer.received_sigterm and not self._is_training_done:
            raise SIGTERMException

    def _next_batch(self, data_fetcher: DataFetcher) -> Any:
        return next(data_fetcher)[0]

    def _on_device(self, batch: Any) -> Any:
        if self._epoch.is_in_place(batch):
            return batch
        batch = private.before_transfer(self._epoch.model, batch)
        return self.trainer.strategy.batch_to_device(batch, dataloader_idx=0)

    def _step(self, batch: Any, batch_idx: int) -> tuple[dict[str, Any], Any]:
        """Run a step with its hooks; returns what `on_train_batch_end` gets: outputs and batch."""
        self._epoch.call("on_train_batch_start", batch, batch_idx)
        self.batch_progress.increment_started()
        return self._optimize(batch, batch_idx), batch

    def update_lr_schedulers(self, interval: str, update_plateau_schedulers: bool) -> None:
        """Let schedules step, those that follow a metric only if it was measured."""
        if not update_plateau_schedulers or not followers(self.trainer):
            super().update_lr_schedulers(interval, update_plateau_schedulers)
            return
        if interval == "epoch":
            self.metric_schedules.check_at_end_of_epoch(self.trainer)
        with self.metric_schedules.only_measured(self.trainer):
            super().update_lr_schedulers(interval, update_plateau_schedulers)

    def _optimize(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Run the optimizer step with its forward pass; returns what `on_train_batch_end` gets."""
        steps, closure = (
            self.automatic_optimization.optim_progress.optimizer.step,
            self._closure(batch, batch_idx),
        )
        steps.increment_ready()
        self._epoch.optimizer.step(partial(self._gradients, closure))
        steps.increment_completed()
        result = closure.consume_result()
        return {} if result.loss is None else result.asdict()

    def _closure(self, batch: Any, batch_idx: int) -> Closure:
        forward, zero_grad = partial(self._forward, batch, batch_idx), partial(self._zero_grad, batch_idx)
        return Closure(forward, self._backward, zero_grad)

    def _gradients(self, closure: Closure) -> Tensor | None:
        """The closure that the optimizer calls to get gradients. LBFGS calls it several times."""
        loss = closure()
        epoch = self._epoch
        epoch.call("on_before_optimizer_step", epoch.optimizer)
        if epoch.clips:
            private.clip_gradients(self.trainer, epoch.optimizer)
        return loss

    def _forward(self, batch: Any, batch_idx: int) -> ClosureResult:
        output = self._epoch.training_step(batch, batch_idx)
        if isinstance(output, Tensor):
            return ClosureResult(output)
        return ClosureResult.from_training_step_output(output)

    def _zero_grad(self, batch_idx: int) -> None:
        epoch, progress = self._epoch, self.automatic_optimization.optim_progress.optimizer.zero_grad
        progress.increment_ready()
        epoch.call("on_before_zero_grad", epoch.optimizer)
        progress.increment_started()
        epoch.model.optimizer_zero_grad(self.trainer.current_epoch, batch_idx, epoch.optimizer)
        progress.increment_completed()

    def _backward(self, loss: Tensor) -> None:
        self._epoch.call("on_before_backward", loss)
        self._epoch.model.backward(loss)
        self._epoch.call("on_after_backward")

    def _is_last_step(self, steps: int) -> bool:
        """Whether the training is known to end after so many steps; the last figures are written in any case."""
        trainer = self.trainer
        is_end_of_epochs = (
            self._num_ready_batches_reached() and trainer.current_epoch + 1 == trainer.max_epochs
        )
        return is_end_of_epochs or steps == trainer.max_steps

    def _logs_now(self) -> bool:
        """Whether the values of this step are written."""
        trainer = self.trainer
        every = trainer.log_every_n_steps
        is_due = every and ((self._batches_that_stepped + 1) % every == 0 or trainer.should_stop)
        return bool(is_due or trainer.fast_dev_run)

    def _should_accumulate(self) -> bool:
        return self.trainer.accumulate_grad_batches != 1 and super()._should_accumulate()

    def _should_check_val_fx(self, data_fetcher: DataFetcher) -> bool:
        """Most steps are neither the last nor one that `val_check_interval` selects."""
        trainer, every = self.trainer, self.trainer.val_check_batch
        within_epoch = isinstance(every, int) and trainer.check_val_every_n_epoch is not None
        if within_epoch and self.batch_progress.current.ready % every and not trainer.should_stop:
            return self.obstacle is not None and super()._should_check_val_fx(data_fetcher)
        return super()._should_check_val_fx(data_fetcher)
