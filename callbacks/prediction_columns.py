"""What a `predict_step` returned for a batch: columns with one value per row, and the rest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from callbacks.prediction_files import is_odd

Column = Tensor | list[Any]  # (N, ...), or N words or numbers
CELLS = (str, bool, int, float)


@dataclass
class Predicted:
    """The predictions for one batch.

    Args:
        loader: number of its loader.
        columns: by name, each with one value for each row.
        rest: by name, what has another form; plain values.
    """

    loader: int = 0
    columns: dict[str, Column] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)


def predicted(outputs: Any, batch: Any, loader: int = 0) -> Predicted:
    """Sort what a `predict_step` returned for a batch.

    Args:
        outputs: named values, one value (then called `prediction`), or several in a tuple or list (`prediction_0`, ...).
        batch: says how many rows there are, if one of its tensors has as many as one of the values.
        loader: number of the batch's loader.
    """
    named = dict(by_name(outputs))
    lengths = [len(value) for value in named.values() if can_be_column(value)]
    rows = next((length for length in lengths_in(batch) if length in lengths), lengths[0] if lengths else 0)
    found = Predicted(loader)
    for name, value in named.items():
        if can_be_column(value) and len(value) == rows:
            found.columns[name] = as_column(value)
        else:
            found.rest[name] = as_plain(value)
    return found


def by_name(outputs: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each value with its name, `outer_inner` if it is nested."""
    if hasattr(outputs, "_asdict"):  # a named tuple
        outputs = outputs._asdict()
    if isinstance(outputs, Mapping):
        for name, value in outputs.items():
            yield from by_name(value, f"{prefix}_{name}" if prefix else str(name))
    elif isinstance(outputs, list | tuple) and not can_be_column(outputs) and of_one_length(outputs):
        for number, value in enumerate(outputs):
            yield from by_name(value, f"{prefix or 'prediction'}_{number}")
    elif outputs is not None:
        yield prefix or "prediction", outputs


def can_be_column(value: Any) -> bool:
    """Whether there is a value for each row: a tensor or array (N, ...), or N words, numbers or tensors of one number."""
    if isinstance(value, Tensor | np.ndarray):
        return value.ndim > 0
    if not isinstance(value, list | tuple) or not value:
        return False
    single = all(isinstance(each, Tensor) and each.numel() == 1 and each.ndim == 0 for each in value)
    return single or all(isinstance(each, CELLS) for each in value)


def of_one_length(values: Sequence[Any]) -> bool:
    """Whether several outputs may be columns next to each other, unlike the boxes found in each image of a batch."""
    return len({len(each) for each in values if can_be_column(each)}) < 2


def as_column(value: Any) -> Column:
    """The values on the CPU."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(value.copy())
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return value.float() if value.dtype == torch.bfloat16 else value  # which NumPy lacks
    return [each.item() if isinstance(each, Tensor) else each for each in value]


def as_plain(value: Any) -> Any:
    """A value in types that load without running code; of others only what they look like."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(value.copy())
    if isinstance(value, Mapping):
        return {str(name): as_plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(each) for each in value]
    return value if value is None or isinstance(value, CELLS) else repr(value)


def lengths_in(batch: Any) -> Iterator[int]:
    """Lengths of the tensors of a batch, at any depth."""
    if isinstance(batch, Tensor):
        if batch.ndim:
            yield len(batch)
    elif isinstance(batch, Mapping):
        yield from (length for each in batch.values() for length in lengths_in(each))
    elif isinstance(batch, list | tuple):
        yield from (length for each in batch for length in lengths_in(each))


def only_whole_columns(batches: Sequence[Predicted]) -> None:
    """Let a column that some batch lacks, or has with another width, be part of the rest of every batch.

    Likewise arrays of different shapes that are no images.
    """
    for name in {name for batch in batches for name in batch.columns}:
        columns = [batch.columns.get(name) for batch in batches]
        if len(set(map(form, columns))) > 1 or is_odd(name, columns):
            for batch in batches:
                if name in batch.columns:
                    batch.rest[name] = plain_column(batch.columns.pop(name))


def plain_column(column: Column) -> Any:
    """A column as a part of the rest: arrays of one shape, one for each row, as one tensor."""
    arrays = [cell for cell in column if isinstance(cell, np.ndarray)]
    if arrays and len({array.shape for array in arrays}) == 1:
        return torch.from_numpy(np.stack(arrays))
    return as_plain(column)


def form(column: Column | None) -> tuple[Any, ...]:
    """What must be equal in all batches for their columns to be joined."""
    return tuple(column.shape[1:]) if isinstance(column, Tensor) else (type(column).__name__,)


def joined(columns: Sequence[Column]) -> Any:
    """The columns of several batches, one after the other."""
    if isinstance(columns[0], Tensor):
        return torch.cat([column for column in columns if isinstance(column, Tensor)])
    return [each for column in columns for each in column]
