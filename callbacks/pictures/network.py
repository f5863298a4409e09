"""What the pictures ask of a network and of its data, whatever their classes are.

Of a data module they use, where it has them: `task` ("binary", "multiclass", "regression"), `in_shape`, `class_names`,
`feature_names`, `value_names` (what the values 0 and 1 of a feature mean), `target_name`, `statistics`
(`input_mean`, `input_std`, `target_mean`, `target_std` of a normalization) and `prepare_inputs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn


def array(tensor: Tensor) -> np.ndarray:
    """In float64, on the host."""
    return tensor.detach().double().cpu().numpy()


def probabilities(pl_module: pl.LightningModule, task: str, x: Tensor) -> np.ndarray:
    """Of each class (N, K); a binary task has one logit, that of class 1."""
    logits = pl_module(x).float()
    if task == "binary":
        positive = array(logits.squeeze(-1).sigmoid())
        return np.stack([1 - positive, positive], axis=1)
    return array(logits.softmax(-1))


def dense_layers(pl_module: pl.LightningModule, x: Tensor) -> list[tuple[nn.Linear, Tensor]]:
    """The linear layers in order of the forward pass, each with what it read: of all but the first, hidden units."""
    calls: list[tuple[nn.Linear, Tensor]] = []
    hooks = [
        module.register_forward_pre_hook(lambda layer, inputs: calls.append((layer, inputs[0])))
        for module in pl_module.modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        pl_module(x)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def raw_inputs(data: Any, x: Tensor) -> np.ndarray:
    """Inputs of a batch in the units of the table."""
    statistics = getattr(data, "statistics", {})
    return array(x) * np.asarray(statistics.get("input_std", 1.0)) + np.asarray(
        statistics.get("input_mean", 0.0)
    )


def raw_targets(data: Any, y: Tensor) -> np.ndarray:
    """Targets or predictions of a regression in the units of the table."""
    statistics = getattr(data, "statistics", {})
    return array(y) * float(statistics.get("target_std", 1.0)) + float(statistics.get("target_mean", 0.0))


def prepared_inputs(data: Any, raw: np.ndarray, like: Tensor) -> Tensor:
    """Points in the units of the table as the network sees them, where and in the precision in which `like` is."""
    x = torch.from_numpy(raw)
    prepare = getattr(data, "prepare_inputs", None)
    return (x if prepare is None else prepare(x)).to(like)


def feature_name(data: Any, index: int) -> str:
    """The label of an axis."""
    names = getattr(data, "feature_names", ())
    return names[index] if index < len(names) else f"x{index + 1}"
