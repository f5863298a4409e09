"""Lightning's loop over the batches of an epoch, without its detours: what a small network waits for most of the time.

For each step Lightning calls some 900 functions to find out what does not change within an epoch: which hooks are
implemented, which strategy, precision and profiler there are, whether batches are accumulated. Here that is asked once
per epoch. What is left are the same hooks in the same order with the same arguments, the same counters and the same
arithmetic. A training that needs more (see `why_not_lean`) is left to Lightning's own loop.

This is built on what Lightning keeps for itself: `_TrainingEpochLoop`, its counters, its results, `_logger_connector`.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loops.fetchers import _DataFetcher, _PrefetchDataFetcher
from pytorch_lightning.loops.optimization.automatic import Closure, ClosureResult
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.trainer.connectors.logger_connector.result import _ResultCollection, _ResultMetric
from pytorch_lightning.utilities.exceptions import SIGTERMException
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.optim import Optimizer

from callbacks.lean import STEP_HOOKS, NoProfiler, is_empty

TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


def use_lean_loop(trainer: pl.Trainer) -> None:
    """Have a Trainer walk through its epochs with `LeanEpochLoop`; to be called before it fits."""
    usual = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = LeanEpochLoop(trainer, usual.min_steps, usual.max_steps)


def why_not_lean(trainer: pl.Trainer, fetcher: _DataFetcher) -> str | None:
    """What only Lightning's own loop does of that which a training needs; None where there is nothing."""
    model, strategy, precision = trainer.lightning_module, trainer.strategy, trainer.precision_plugin
    scales = getattr(precision, "scaler", None) is not None
    found = {
        "manual optimization": not model.automatic_optimization,
        f"strategy {type(strategy).__name__}": type(strategy) is not SingleDeviceStrategy,
        f"precision {precision.precision}": type(precision) not in (Precision, MixedPrecision) or scales,
        "accumulated batches": trainer.accumulate_grad_batches != 1,
        "an epoch without backward passes": trainer.fit_loop._skip_backward,
        "a training_step that fetches its batches": type(fetcher) is not _PrefetchDataFetcher,
        "a profiler": type(trainer.profiler) not in (PassThroughProfiler, NoProfiler),
        "the module's own optimizer_step": is_overridden("optimizer_step", model),
        "the module's own on_train_batch_start": not does_nothing(model, "on_train_batch_start"),
    }
    return next((reason for reason, holds in found.items() if holds), None)


class LeanEpochLoop(_TrainingEpochLoop):
    """Walks through an epoch as `_TrainingEpochLoop` does, in a third of the calls."""

    def __init__(self, trainer: pl.Trainer, min_steps: int | None, max_steps: int) -> None:
        super().__init__(trainer, min_steps, max_steps)
        self._results = Results(training=True)
        self.obstacle: str | None = "it has not begun"  # to being lean

    @property
    def global_step(self) -> int:
        """Optimizer steps so far."""
        if self.obstacle is None:
            return self.automatic_optimization.optim_progress.optimizer.step.total.completed
        return super().global_step

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        """Find out what holds for the whole epoch."""
        super().on_run_start(data_fetcher)
        trainer, model = self.trainer, self.trainer.lightning_module
        self.obstacle = why_not_lean(trainer, data_fetcher)
        self._hooks = {name: implementations(trainer, name) for name in STEP_HOOKS}
        self._takes_batch_idx = "batch_idx" in self._build_kwargs(OrderedDict(), None, 0)
        self._clips = bool(trainer.gradient_clip_val) or is_overridden("configure_gradient_clipping", model)
        owners = [each for each in (model, trainer.datamodule) if each is not None]
        self._has_transfer_hooks = any(
            is_overridden(name, each) for name in TRANSFER_HOOKS for each in owners
        )
        self._results.changed = True

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """One batch, and one optimizer step.

        Raises:
            StopIteration: at the end of a loader that does not know its length.
        """
        if self.obstacle or self.restarting:
            super().advance(data_fetcher)
            return
        trainer, progress, results = self.trainer, self.batch_progress, self._results
        batch, batch_idx = next(data_fetcher)[0], progress.current.ready
        progress.is_last_batch = data_fetcher.done
        batch = self._on_device(batch)
        progress.increment_ready()
        connector = trainer._logger_connector
        connector._first_loop_iter = connector._first_loop_iter is None
        results.batch, results.batch_size, results.dataloader_idx = batch, None, None
        outputs = None
        if batch is None:
            self._warning_cache.warn("the training loader gave None instead of a batch; there is no step")
        else:
            self._call("on_train_batch_start", batch, batch_idx)
            progress.increment_started()
            outputs = self._optimize(batch, batch_idx)
        progress.increment_processed()
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
            if self._num_ready_batches_reached():
                self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        self._call("on_train_batch_end", outputs, batch, batch_idx)
        if results.changed:
            connector.on_batch_end()
            results.changed = False
        results.batch = results.batch_size = None
        progress.increment_completed()
        if self._logs_now():
            connector.update_train_step_metrics()

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        """Validate, if it is time."""
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

    def _optimize(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """The optimizer step, from the forward pass on; returns what `on_train_batch_end` gets."""
        optimizer: Any = self.trainer.optimizers[0]
        steps = self.automatic_optimization.optim_progress.optimizer.step
        arguments = (batch, batch_idx) if self._takes_batch_idx else (batch,)
        closure = Closure(
            partial(self._forward, arguments), self._backward, partial(self._zero_grad, optimizer, batch_idx)
        )
        steps.increment_ready()
        optimizer.step(partial(self._gradients, closure, optimizer))
        steps.increment_completed()
        result = closure.consume_result()
        return {} if result.loss is None else result.asdict()

    def _gradients(self, closure: Closure, optimizer: Optimizer) -> Tensor | None:
        """What the optimizer asks for: gradients, ready to be used. LBFGS asks several times."""
        loss = closure()
        self._call("on_before_optimizer_step", optimizer)
        if self._clips:
            trainer = self.trainer
            trainer.precision_plugin._clip_gradients(
                trainer.lightning_module,
                optimizer,
                trainer.gradient_clip_val,
                trainer.gradient_clip_algorithm,
            )
        return loss

    def _forward(self, arguments: tuple[Any, ...]) -> ClosureResult:
        trainer, model = self.trainer, self.trainer.lightning_module
        before, model._current_fx_name = model._current_fx_name, "training_step"
        with trainer.precision_plugin.train_step_context():
            output = model.training_step(*arguments)
        model._current_fx_name = before
        return (
            ClosureResult(output)
            if isinstance(output, Tensor)
            else ClosureResult.from_training_step_output(output)
        )

    def _zero_grad(self, optimizer: Optimizer, batch_idx: int) -> None:
        progress = self.automatic_optimization.optim_progress.optimizer.zero_grad
        progress.increment_ready()
        self._call("on_before_zero_grad", optimizer)
        progress.increment_started()
        self.trainer.lightning_module.optimizer_zero_grad(self.trainer.current_epoch, batch_idx, optimizer)
        progress.increment_completed()

    def _backward(self, loss: Tensor) -> None:
        self._call("on_before_backward", loss)
        self.trainer.lightning_module.backward(loss)
        self._call("on_after_backward")

    def _call(self, name: str, *args: Any) -> None:
        """Call the hook wherever it is implemented; `self.log` wants to know its name."""
        if hooks := self._hooks[name]:
            model = self.trainer.lightning_module
            before, model._current_fx_name = model._current_fx_name, name
            for hook in hooks:
                hook(*args)
            model._current_fx_name = before

    def _on_device(self, batch: Any) -> Any:
        """The batch as `training_step` gets it; tensors that are where they belong need not be moved."""
        trainer = self.trainer
        if type(batch) in (tuple, list) and not self._has_transfer_hooks:
            device = trainer.strategy.root_device
            if all(type(each) is Tensor and each.device == device for each in batch):
                return batch
        batch = trainer.lightning_module._on_before_batch_transfer(batch, dataloader_idx=0)
        return trainer.strategy.batch_to_device(batch, dataloader_idx=0)

    def _logs_now(self) -> bool:
        """Whether this step is one whose logs are written."""
        trainer = self.trainer
        every = trainer.log_every_n_steps
        is_due = every and ((self._batches_that_stepped + 1) % every == 0 or trainer.should_stop)
        return bool(is_due or trainer.fast_dev_run)

    def _should_accumulate(self) -> bool:
        return self.trainer.accumulate_grad_batches != 1 and super()._should_accumulate()

    def _should_check_val_fx(self, data_fetcher: _DataFetcher) -> bool:
        """Most steps are neither the last nor one of those that `val_check_interval` counts."""
        trainer = self.trainer
        every = trainer.val_check_batch
        by_batch = (
            self.obstacle is None and isinstance(every, int) and trainer.check_val_every_n_epoch is not None
        )
        if by_batch and self.batch_progress.current.ready % every and not trainer.should_stop:
            return False
        return super()._should_check_val_fx(data_fetcher)


class Results(_ResultCollection):
    """What was logged in this epoch.

    Lightning copies all of it after every step, also where nothing was logged, and looks through all that a value was
    summed up in at every call of `self.log`, lest some of it be on another device.
    """

    changed = True

    def log(self, *args: Any, **kwargs: Any) -> None:
        self.changed = True
        super().log(*args, **kwargs)

    def __setitem__(self, key: str, result: _ResultMetric) -> None:
        if result.is_tensor:
            result.to = partial(moved, result)  # type: ignore[method-assign]
        super().__setitem__(key, result)


def moved(result: _ResultMetric, device: torch.device) -> _ResultMetric:
    """The result with its tensors on a device, on which most are already."""
    tensors = [each for each in vars(result).values() if isinstance(each, Tensor)]
    return result if all(each.device == device for each in tensors) else _ResultMetric.to(result, device)


def implementations(trainer: pl.Trainer, name: str) -> list[Callable[..., Any]]:
    """A step hook of all callbacks and of the module, in Lightning's order, without those that do nothing."""
    model = trainer.lightning_module
    hooks = [
        partial(getattr(callback, name), trainer, model)
        for callback in trainer.callbacks
        if not does_nothing(callback, name)
    ]
    return [*hooks, *([] if does_nothing(model, name) else [getattr(model, name)])]


def does_nothing(owner: pl.Callback | pl.LightningModule, name: str) -> bool:
    """Whether a hook is Lightning's empty one, or was taken away by `skip_empty_hooks`."""
    return getattr(owner, name) is None or is_empty(owner, name)
