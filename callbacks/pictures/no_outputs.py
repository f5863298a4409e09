"""Why a network gives no outputs that pictures could show, in one sentence for all of them."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.data_spec import spec_of


class NoOutputError(Exception):
    """The network gives no outputs that a picture could show."""


def why_no_outputs(pl_module: pl.LightningModule, data: Any, batch: Any) -> str | None:
    """Why a batch's inputs give no output for each class or target of its samples; None if they do, or nobody knows."""
    name, spec = type(pl_module).__name__, spec_of(data)
    if not isinstance(batch, list | tuple) or not isinstance(batch[0], torch.Tensor):
        return None
    try:
        output = pl_module(batch[0])
    except Exception as error:  # it needs more than the inputs, as a diffusion model needs a time
        return f"{name}(x) fails for the inputs of a batch ({type(error).__name__})"
    if not isinstance(output, torch.Tensor):
        return f"{name}(x) returns a {type(output).__name__}, not a tensor"
    expected = (len(batch[0]), spec.out_features)
    one_class = spec.task in ("binary", "multiclass") and not has_positions(batch)
    if one_class and output.reshape(len(output), -1).shape != expected:
        return f"{name}(x) returns {list(output.shape)}, where a {spec.task} task has {list(expected)}"
    return None


def has_positions(batch: Any) -> bool:
    """Whether the target, the second part of a batch, has several numbers for each sample."""
    target = batch[1] if isinstance(batch, list | tuple) and len(batch) > 1 else None
    return isinstance(target, Tensor) and target.numel() > len(target)
