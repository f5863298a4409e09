"""Lightning's own part of a step, made shorter: what a small network waits for most of the time.

Around each step Lightning calls six hooks of every callback and a dozen of the module, most of them empty, each within
a context of the profiler. What is left out here does nothing; what is learnt stays the same to the bit.
"""

import contextlib
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.profilers import PassThroughProfiler

STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)


def skip_empty_hooks(owner: pl.Callback | pl.LightningModule) -> None:
    """Set the step hooks that `owner` does not implement to None, which Lightning passes over."""
    for name in STEP_HOOKS:
        if is_empty(owner, name):
            setattr(owner, name, None)


def implements_step_hook(callback: pl.Callback) -> bool:
    """Whether it does anything at single steps."""
    return not all(is_empty(callback, name) for name in STEP_HOOKS)


def is_empty(owner: pl.Callback | pl.LightningModule, name: str) -> bool:
    """Whether a hook is Lightning's own, which does nothing."""
    parent = pl.LightningModule if isinstance(owner, pl.LightningModule) else pl.Callback
    return getattr(getattr(owner, name), "__func__", None) is getattr(parent, name)


class NoProfiler(PassThroughProfiler):
    """Measures nothing, like the profiler that Lightning takes by default, in a tenth of the time."""

    _nothing: Any = contextlib.nullcontext()

    def profile(self, action_name: str) -> Any:
        return self._nothing
