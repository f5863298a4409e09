"""Single samples of the data: which tensor of a batch is the target, fingerprints of rows, samples by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sized
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from callbacks.checkup.batches import leaves, read, rows_held, same, size_of
from callbacks.checkup.copying import CannotCheckError
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.loss_calls import BINARY_LOSSES, CLASS_LOSSES, REGRESSION_LOSSES

_HASHED = 256  # numbers of a row


def target_number(subject: Subject) -> int | None:
    """Which tensor of the batch (see `leaves`) the loss compares with; None if it compares with none of them.

    If the step calls no loss function of torch, it is the last tensor with an entry per sample that is not the input.
    """
    tensors = leaves(subject.batch)
    for call in subject.traced.calls:
        for number, each in enumerate(tensors):
            if _same_values(each, call.target):
                return number
    if subject.traced.calls:
        return None
    size = size_of(subject.batch)
    rest = [
        k for k, each in enumerate(tensors) if each.ndim and len(each) == size and k != subject.input_number
    ]
    return rest[-1] if rest else None


def _same_values(leaf: Tensor, target: Tensor) -> bool:
    if leaf.numel() != target.numel() or leaf.is_complex() or target.is_complex():
        return False
    first, second = leaf.flatten().double(), target.detach().flatten().double()
    return bool(((first == second) | (first.isnan() & second.isnan())).all())


def has_class_targets(subject: Subject) -> bool:
    """Whether the first loss compares with class numbers, one for each sample."""
    calls = subject.traced.calls
    return bool(calls) and calls[0].name in CLASS_LOSSES and calls[0].target.ndim == 1


def has_supervised_loss(subject: Subject) -> bool:
    """Whether the first loss compares a prediction with a part of the batch other than the input."""
    calls = subject.traced.calls
    if not calls or calls[0].name not in CLASS_LOSSES | BINARY_LOSSES | REGRESSION_LOSSES:
        return False
    return target_number(subject) not in (None, subject.input_number)


def rows_in(batches: list[Any], number: int, most: int = 10**9) -> Tensor:
    """One tensor of all batches, joined: (N, ...), on the CPU; about `most` rows, evenly chosen.

    Raises:
        CannotCheckError: if its shape changes from batch to batch, or batches lack it.
    """
    parts = [leaves(batch) for batch in batches]
    if not parts or any(len(each) <= number for each in parts):
        raise CannotCheckError("the batches have other parts than the training batches")
    if len({each[number].shape[1:] for each in parts}) > 1:
        raise CannotCheckError("the shape of a sample changes from batch to batch")
    stride = max(1, sum(len(each[number]) for each in parts) // most)
    return torch.cat([each[number][::stride].detach().cpu() for each in parts])


def fingerprints(batches: list[Any], numbers: list[int]) -> Counter[int]:
    """How often each sample occurs: a hash of these tensors' rows -> count. Of long rows, 256 numbers are hashed.

    Raises:
        CannotCheckError: if the batches lack one of them.
    """
    found: Counter[int] = Counter()
    for batch in batches:
        parts = leaves(batch)
        if len(parts) <= max(numbers):
            raise CannotCheckError("the batches have other parts than the training batches")
        columns = [_row_bytes(parts[number]) for number in numbers]
        found.update(hash(row) for row in zip(*columns, strict=True))
    return found


def _row_bytes(rows: Tensor) -> list[bytes]:
    flat = rows.detach().flatten(1) if rows.ndim > 1 else rows.detach()[:, None]
    if flat.shape[1] > _HASHED:
        flat = flat.index_select(1, torch.linspace(0, flat.shape[1] - 1, _HASHED).long().to(flat.device))
    if flat.is_floating_point():
        flat = flat.float() + 0.0  # -0 becomes 0
    return [row.tobytes() for row in flat.cpu().contiguous().numpy()]


def samples_at(loader: Any, count: int) -> Any:
    """A batch of `count` samples spread evenly over the data set, in its order; None if they have no numbers."""
    if not can_be_indexed(loader):
        return None
    held = len(loader.dataset)
    places = torch.linspace(0, held - 1, min(count, held)).long().unique().tolist()
    try:
        return loader.collate_fn([loader.dataset[place] for place in places])
    except Exception:  # its sampler may give something else than numbers
        return None


def can_be_indexed(loader: Any) -> bool:
    """Whether it is a DataLoader that makes batches of a data set's samples by their number."""
    if not isinstance(loader, DataLoader) or loader.batch_sampler is None:
        return False
    return (
        not isinstance(loader.dataset, IterableDataset)
        and isinstance(loader.dataset, Sized)
        and bool(rows_held(loader))
    )


def changes_when_read(loader: Any) -> bool:
    """Whether a sample differs from one reading to the next: augmentation, masking or noise."""
    once, again = samples_at(loader, 1), samples_at(loader, 1)
    if once is None or again is None:  # a loader that shuffles looks the same; then this says nothing certain
        once, again = next(iter(read(loader, 1))), next(iter(read(loader, 1)))
    return not same(once, again)
