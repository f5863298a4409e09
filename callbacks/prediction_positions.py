"""Predictions of a class for each position of a sequence: a row of the table for each position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from callbacks.prediction_columns import Column

IGNORED = -100  # class of positions that count for nothing, such as padding, as in PyTorch
POSITION = "position"  # heading of the column


@dataclass(frozen=True)
class Positions:
    """What belongs to the positions of one row, an array (T,); rows may have different lengths."""

    values: np.ndarray


def by_position(columns: Mapping[str, Column], batch: Any) -> dict[str, Column]:
    """Classes for each position, with the position and the probability of the predicted class; other columns unchanged.

    They are known by their shapes: `prediction` (N, T), whole numbers, and `probability` (N, K, T).

    Args:
        columns: of a batch.
        batch: shows which positions are padding, see `counted`.
    """
    prediction, probability = columns.get("prediction"), columns.get("probability")
    if not isinstance(prediction, Tensor) or not isinstance(probability, Tensor):
        return dict(columns)
    if prediction.is_floating_point() or prediction.ndim != 2 or probability.ndim != 3:
        return dict(columns)
    if (probability.shape[0], probability.shape[2]) != tuple(prediction.shape):
        return dict(columns)
    places = torch.arange(prediction.shape[1]).expand_as(prediction)
    chosen = probability.gather(1, prediction.long()[:, None])[:, 0]
    kept = counted(batch, prediction)
    whole = {POSITION: places, **columns, "probability": chosen}
    return {
        name: [Positions(row[mask].numpy()) for row, mask in zip(column, kept, strict=True)]
        if isinstance(column, Tensor) and column.shape == prediction.shape
        else column
        for name, column in whole.items()
    }


def counted(batch: Any, prediction: Tensor) -> Tensor:
    """Which positions (N, T) are no padding, where the batch says so: their target is not -100, their weight not 0."""
    kept = torch.ones(prediction.shape, dtype=torch.bool)
    if not isinstance(batch, list | tuple):
        return kept
    for place, part in enumerate(batch[1:3]):
        if isinstance(part, Tensor) and part.shape == prediction.shape:
            kept &= part.detach().cpu() != (IGNORED if place == 0 else 0)
    return kept


def one_row_per_position(columns: dict[str, Any]) -> dict[str, Any]:
    """Columns of `by_position`, joined over all batches, with a row for each position; a value of a row is repeated."""
    lengths = torch.tensor([len(each.values) for each in columns[POSITION]])
    first = {"id": columns["id"], POSITION: columns[POSITION]}
    return {name: repeated(column, lengths) for name, column in {**first, **columns}.items()}


def repeated(column: Any, lengths: Tensor) -> Any:
    """The values of all positions one after the other, or each value of a row as often as the row has positions."""
    if isinstance(column, Tensor):
        return column.repeat_interleave(lengths, dim=0)
    if column and isinstance(column[0], Positions):
        return torch.from_numpy(np.concatenate([each.values for each in column]))
    return [value for value, length in zip(column, lengths.tolist(), strict=True) for _ in range(length)]


def has_positions(columns: Mapping[str, Any]) -> bool:
    """Whether the columns come from `by_position`."""
    places = columns.get(POSITION)
    return isinstance(places, list) and bool(places) and isinstance(places[0], Positions)


def names_of_classes(columns: Mapping[str, Any], spec: Any) -> Any:
    """The source's values for the classes, else their names; nothing if there are fewer than classes."""
    classes = [each.values.max(initial=-1) for each in columns["prediction"]]
    known = [names for names in (spec.class_values, spec.class_names) if len(names) > max(classes)]
    return known[0] if known else ()
