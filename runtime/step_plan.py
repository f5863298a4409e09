"""What stays the same for all steps of an epoch, found out once."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from callbacks.step_hooks import STEP_HOOKS, step_hook
from runtime import private
from runtime.private import DataFetcher, PrefetchDataFetcher

TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


def why_not_lean(trainer: pl.Trainer, fetcher: DataFetcher) -> str | None:
    """The feature this training needs that only Lightning's own loop has; None if there is none."""
    model, strategy, precision = trainer.lightning_module, trainer.strategy, trainer.precision_plugin
    scales = getattr(precision, "scaler", None) is not None
    found = {
        "manual optimization": not model.automatic_optimization,
        f"strategy {type(strategy).__name__}": type(strategy) is not SingleDeviceStrategy,
        f"precision {precision.precision}": type(precision) not in (Precision, MixedPrecision) or scales,
        "accumulated batches": trainer.accumulate_grad_batches != 1,
        "an epoch without backward passes": private.skips_backward(trainer),
        "a training_step that fetches its batches": type(fetcher) is not PrefetchDataFetcher,
        "a profiler": type(trainer.profiler) not in (PassThroughProfiler, NoProfiler),
        "the module's own optimizer_step": is_overridden("optimizer_step", model),
        "the module's own on_train_batch_start": step_hook(model, "on_train_batch_start") is not None,
    }
    return next((reason for reason, holds in found.items() if holds), None)


@dataclass(frozen=True)
class Epoch:
    """The model, and what each of its steps does.

    Args:
        hooks: by name, the step hooks of all callbacks and of the module that do something.
        context: makes the precision's context of a training step.
        num_arguments: of `training_step`, which may omit `batch_idx`.
        moves: whether the model or the data take part in moving a batch to the device.
        clips: whether anything may happen to the gradients before the step.
    """

    model: pl.LightningModule
    optimizer: Any
    device: torch.device
    hooks: dict[str, list[Callable[..., Any]]]
    context: Callable[[], AbstractContextManager]
    num_arguments: int
    moves: bool
    clips: bool

    @classmethod
    def of(cls, trainer: pl.Trainer, num_arguments: int) -> "Epoch":
        """The plan for what the Trainer is about to do."""
        model, precision = trainer.lightning_module, trainer.precision_plugin
        owners = [each for each in (model, trainer.datamodule) if each is not None]
        return cls(
            model,
            trainer.optimizers[0],
            trainer.strategy.root_device,
            {name: implementations(trainer, name) for name in STEP_HOOKS},
            contextlib.nullcontext if type(precision) is Precision else precision.train_step_context,
            num_arguments,
            any(is_overridden(name, owner) for name in TRANSFER_HOOKS for owner in owners),
            bool(trainer.gradient_clip_val) or is_overridden("configure_gradient_clipping", model),
        )

    def without_callbacks(self) -> "Epoch":
        """The same steps with the module's own hooks only."""
        own = {name: step_hook(self.model, name) for name in STEP_HOOKS}
        return replace(self, hooks={name: [hook] if hook else [] for name, hook in own.items()})

    def without_watchers(self, trainer: pl.Trainer) -> "Epoch":
        """The same steps without the hooks of callbacks that say at which steps they watch."""
        kept = [each for each in trainer.callbacks if not hasattr(each, "watches_next_step")]
        return replace(self, hooks={name: implementations(trainer, name, kept) for name in STEP_HOOKS})

    def call(self, name: str, *args: Any) -> None:
        """Call a hook in every object that implements it; `self.log` needs the name of the running hook."""
        if hooks := self.hooks[name]:
            state = vars(self.model)
            before, state["_current_fx_name"] = state["_current_fx_name"], name
            for hook in hooks:
                hook(*args)
            state["_current_fx_name"] = before

    def log_again(self, hook: str, *args: Any, **options: Any) -> None:
        """Call `self.log` as that hook did."""
        state = vars(self.model)
        before, state["_current_fx_name"] = state["_current_fx_name"], hook
        self.model.log(*args, **options)
        state["_current_fx_name"] = before

    def training_step(self, *args: Any) -> Any:
        """The forward pass."""
        state = vars(self.model)
        before, state["_current_fx_name"] = state["_current_fx_name"], "training_step"
        with self.context():
            output = self.model.training_step(*args[: self.num_arguments])
        state["_current_fx_name"] = before
        return output

    def is_in_place(self, batch: Any) -> bool:
        """Whether a batch need not be moved to the device."""
        if self.moves or type(batch) not in (tuple, list):
            return False
        return all(type(each) is Tensor and each.device == self.device for each in batch)


def implementations(
    trainer: pl.Trainer, name: str, callbacks: list[pl.Callback] | None = None
) -> list[Callable[..., Any]]:
    """A step hook of all callbacks and of the module, in Lightning's order, without those that do nothing."""
    model = trainer.lightning_module
    hooks = [
        step_hook(callback, name) for callback in (trainer.callbacks if callbacks is None else callbacks)
    ]
    own = step_hook(model, name)
    return [*(partial(hook, trainer, model) for hook in hooks if hook), *([own] if own else [])]


class NoProfiler(PassThroughProfiler):
    """Measures nothing, like Lightning's default profiler, in a tenth of its time."""

    _nothing: Any = contextlib.nullcontext()

    def profile(self, action_name: str) -> Any:
        return self._nothing
