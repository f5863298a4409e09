"""Weights converted so that they apply to inputs as they stand in the table, and give targets in its units.

A data module that normalizes gives the network z = (x - mean) / std, and lets it answer with (y - mean) / std. The first
layer W z + b is W' x + b' with W' = W / std and b' = b - W' mean; the last layer's numbers are multiplied by the target's
std, and its bias is shifted by the target's mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from callbacks.diagnostics.probe import forward_hooks
from callbacks.pictures.network import raw_inputs, raw_targets


@dataclass(frozen=True)
class LinearLayer:
    """Where a linear layer's numbers stand among all: columns of its weight (H, F) and bias (H,); None without bias."""

    weight: np.ndarray
    bias: np.ndarray | None


@dataclass(frozen=True)
class TableUnits:
    """The conversion.

    Args:
        first, last: layers that read the inputs, and answer; None if nothing changes there.
        mean, std: of the inputs (F,).
        target_mean, target_std: of each output (K,).
    """

    first: LinearLayer | None
    last: LinearLayer | None
    mean: np.ndarray
    std: np.ndarray
    target_mean: np.ndarray
    target_std: np.ndarray

    def convert(self, values: np.ndarray) -> np.ndarray:
        """Rows (N, P) of all weights, converted."""
        result = values.astype(np.float64)
        if self.first is not None:
            weight = result[:, self.first.weight] / self.std
            result[:, self.first.weight] = weight
            if self.first.bias is not None:
                result[:, self.first.bias] -= weight @ self.mean
        if self.last is not None:
            result[:, self.last.weight] *= self.target_std[:, None]
            if self.last.bias is not None:
                result[:, self.last.bias] = result[:, self.last.bias] * self.target_std + self.target_mean
        return result


def table_units(model: pl.LightningModule, x: Tensor, data: Any) -> TableUnits | None:
    """The conversion for a network whose linear layers read the inputs and answer; a forward pass shows whether they do.

    Args:
        model: its parameters, in order, are the columns.
        x: inputs of the network (N, ...).
        data: a data module; its `statistics` say how it normalizes.

    Returns:
        None if nothing would change, or if the converted network could not be written as the same layers.
    """
    if not getattr(data, "statistics", None):
        return None
    flat = x.flatten(1)
    zero, one = (np.full((1, flat.shape[1]), value) for value in (0.0, 1.0))
    mean = raw_inputs(data, torch.from_numpy(zero))[0]
    std = raw_inputs(data, torch.from_numpy(one))[0] - mean
    normalizes_inputs = bool((mean != 0).any() or (std != 1).any())
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    with forward_hooks(linear, lambda layer, inputs, output: calls.append((layer, inputs[0], output))):
        answer = model(x)
    if not calls:
        return None
    (first, inputs, _), (last, _, output) = calls[0], calls[-1]
    outputs = torch.zeros(output.shape[-1], dtype=torch.float64)
    target_mean = raw_targets(data, outputs)
    target_std = raw_targets(data, outputs + 1) - target_mean
    normalizes_target = bool((target_mean != 0).any() or (target_std != 1).any())
    if not (normalizes_inputs or normalizes_target):
        return None
    if normalizes_inputs and not (inputs.shape == flat.shape and torch.equal(inputs, flat)):
        return None
    if normalizes_target and not (output.shape == answer.shape and torch.equal(output, answer)):
        return None
    places = columns_of(model)
    ends = [linear_layer(first, places, mean.any()), linear_layer(last, places, (target_mean != 0).any())]
    if (normalizes_inputs and ends[0] is None) or (normalizes_target and ends[1] is None):
        return None
    return TableUnits(
        ends[0] if normalizes_inputs else None,
        ends[1] if normalizes_target else None,
        mean,
        std,
        target_mean,
        target_std,
    )


def columns_of(model: nn.Module) -> dict[int, np.ndarray]:
    """By the id of each parameter: the numbers of its values among all, in its shape."""
    found, start = {}, 0
    for parameter in model.parameters():
        count = parameter.numel()
        found[id(parameter)] = np.arange(start, start + count).reshape(parameter.shape)
        start += count
    return found


def linear_layer(layer: Any, places: dict[int, np.ndarray], needs_bias: Any) -> LinearLayer | None:
    """Where its numbers stand; None if they are computed from others, or if it lacks a bias that it would need."""
    weight = places.get(id(layer.weight))
    bias = None if layer.bias is None else places.get(id(layer.bias))
    if weight is None or (bias is None and (needs_bias or layer.bias is not None)):
        return None
    return LinearLayer(weight, bias)
