"""Lightning's own part of a step, made shorter: it takes most of the step time of a small network.

Around each step Lightning calls six hooks of every callback and a dozen of the module, most of them empty, each within
a profiler context. Only calls that do nothing are skipped here, so the results stay the same to the bit.
"""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)


def skip_empty_hooks(owner: pl.Callback | pl.LightningModule) -> None:
    """Set the step hooks that `owner` does not implement to None, which Lightning skips."""
    for name in STEP_HOOKS:
        if step_hook(owner, name) is None:
            setattr(owner, name, None)


def implements_step_hook(callback: pl.Callback) -> bool:
    """Whether it does anything at individual steps."""
    return any(step_hook(callback, name) is not None for name in STEP_HOOKS)


def step_hook(owner: pl.Callback | pl.LightningModule, name: str) -> Callable[..., Any] | None:
    """A step hook; None if it is Lightning's own, which does nothing."""
    hook = getattr(owner, name)
    parent = pl.LightningModule if isinstance(owner, pl.LightningModule) else pl.Callback
    return None if getattr(hook, "__func__", None) is getattr(parent, name) else hook
