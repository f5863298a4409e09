"""The units of a network, layer by layer, and the weights between them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from callbacks.pictures.forward import Call
from callbacks.pictures.network import array

WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
MAX_UNITS = 10  # shown of a layer
MAX_COLUMNS = 10  # of a network


@dataclasses.dataclass
class Column:
    """One layer with weights.

    Args:
        tag: `NN_name`.
        label: what it is: "hidden 1", "convolution 2", "output".
        module: the layer.
        inputs: what it read.
        output: (N, units, ...), in the form that the next layer reads: after the nonlinearity, pooling and so on.
        reads_previous: whether it reads the output of the column before it, as far as is known.
    """

    tag: str
    module: nn.Module
    inputs: Tensor
    output: Tensor
    label: str = ""
    reads_previous: bool = True

    @property
    def units(self) -> int:
        """Number of its units: features, or channels."""
        return int(self.output.shape[1]) if self.output.ndim > 1 else 1


def columns_of(passed: list[Call]) -> list[Column]:
    """The layers with weights, in the order in which an input passes through them."""
    found: list[Column] = []
    made_by: dict[int, int] = {}  # the column that a tensor belongs to, by its place in memory
    for call in passed:
        if isinstance(call.module, WEIGHTED):
            column = Column(call.tag, call.module, call.inputs, call.output)
            if found:
                source = made_by.get(call.inputs.data_ptr(), len(found) - 1)
                column.reads_previous = source == len(found) - 1
                if column.reads_previous and is_like(call.inputs, found[-1].output):
                    found[-1].output = call.inputs  # a function without a module may have come between
            found.append(column)
        elif found and is_like(call.output, found[-1].output):
            found[-1].output = call.output
        if found:
            made_by[call.output.data_ptr()] = len(found) - 1
    for column, label in zip(found, labels(found), strict=True):
        column.label = label
    return found


def is_like(one: Tensor, other: Tensor) -> bool:
    """Whether both have the same samples and units, also if one is pooled."""
    return one.ndim == other.ndim and one.shape[:2] == other.shape[:2]


def labels(columns: list[Column]) -> list[str]:
    """Plain names of the layers, numbered by kind; the last one is the output."""
    counts = {"hidden": 0, "convolution": 0}
    found = []
    for column in columns:
        kind = "hidden" if isinstance(column.module, nn.Linear) else "convolution"
        counts[kind] += 1
        found.append("output" if column is columns[-1] else f"{kind} {counts[kind]}")
    return found


def shown(columns: list[Column]) -> list[int]:
    """Which columns are drawn: all, or the first and the last ones."""
    if len(columns) <= MAX_COLUMNS:
        return list(range(len(columns)))
    half = MAX_COLUMNS // 2
    return [*range(half), *range(len(columns) - half, len(columns))]


def strengths(module: Any, num_inputs: int) -> np.ndarray | None:
    """One number for the weights from each input unit to each unit, (units, inputs); None if they do not fit.

    Where several weights connect the two (a kernel, or the pixels of a channel), the number has the size of their
    root mean square and the sign of their sum.
    """
    weight = module.weight.detach()
    if isinstance(module, nn.ConvTranspose2d):
        weight = weight.transpose(0, 1)
    if getattr(module, "groups", 1) != 1 or num_inputs < 1 or weight[0].numel() % num_inputs:
        return None
    if not isinstance(module, nn.Linear) and weight.shape[1] != num_inputs:
        return None
    grouped = weight.reshape(weight.shape[0], num_inputs, -1).float()
    if grouped.shape[-1] == 1:
        return array(grouped[..., 0])
    size = grouped.square().mean(-1).sqrt()
    return array(torch.where(grouped.sum(-1) < 0, -size, size))
