"""Weights of the classes in a loss: given, or from the training split."""

from collections.abc import Sequence
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

BALANCED = "balanced"  # weights from the training split
Weights = Sequence[float] | Literal["balanced"] | None
PosWeight = float | Literal["balanced"] | None


def as_buffer(option: str, weights: Any, length: int | None = None) -> Tensor | None:
    """Positive factors as a tensor, None if there are none; for "balanced", ones until `balance` is called.

    Raises:
        ValueError: for a wrong number of them, or one that is not positive.
    """
    if weights is None:
        return None
    if weights == BALANCED:
        return torch.ones(length) if length else torch.tensor(1.0)
    try:
        factors = torch.tensor(weights, dtype=torch.float32)
    except (TypeError, ValueError):
        factors = torch.zeros(0)
    if (
        factors.numel() != (length or 1)
        or not bool((factors > 0).all())
        or not bool(factors.isfinite().all())
    ):
        count = f"{length} positive numbers, one for each class" if length else "a positive number"
        raise ValueError(f'{option} is {weights}; it must be {count}, or "{BALANCED}"')
    return factors


def training_class_counts(trainer: pl.Trainer, option: str) -> list[int]:
    """Rows of each class in the training split, which the data module's `class_counts` knows.

    Args:
        option: which "balanced" weights they are for; errors name it.

    Raises:
        ValueError: if the data module does not know them, or a class has no rows.
    """
    data = getattr(trainer, "datamodule", None)
    given = getattr(data, "class_counts", None)
    counts = [] if given is None else torch.as_tensor(given).flatten().tolist()
    if not counts:
        raise ValueError(
            f'model.{option} is "balanced", but {type(data).__name__} has no `class_counts`; '
            "add that attribute, the number of training rows of each class, or give the weights"
        )
    if min(counts) == 0:
        raise ValueError(
            f'model.{option} is "balanced", but class {counts.index(0)} has no rows in the training split; '
            "give the weights"
        )
    return counts
