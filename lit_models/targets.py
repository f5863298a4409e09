"""Whether the targets of a data set are what a task knows: seen at once, before the first step."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lit_models.task import Task

IGNORED = -100  # class of positions that count for nothing, such as padding; PyTorch's default


def check_targets(trainer: pl.Trainer, task: Task) -> None:
    """Refuse splits with targets that the task does not know; of other data only the batches are seen.

    Raises:
        ValueError: with the name of the split, and one of the values.
    """
    splits: Any = getattr(getattr(trainer, "datamodule", None), "splits", None)
    for name, parts in splits.items() if isinstance(splits, Mapping) else ():
        target = parts[1] if isinstance(parts, tuple) and len(parts) > 1 else None
        if name == "predict" or not isinstance(target, Tensor):  # its second part are ids
            continue
        weight = parts[2] if len(parts) > 2 else None  # unless the model takes it for something else
        if isinstance(weight, Tensor) and weight.shape == target.shape[: weight.ndim]:
            target = target[weight != 0]  # what weighs nothing may have any target
        try:
            task.check_target(target)
        except ValueError as error:
            raise ValueError(f"the {name} split: {error}") from None


def check_classes(target: Tensor, num_classes: int) -> None:
    """Refuse integers (N, ...) other than 0 to K - 1 and -100.

    Raises:
        ValueError: with the largest or smallest of them.
    """
    if not target.numel():
        return
    low, high = (int(each) for each in torch.aminmax(target.long().where(target != IGNORED, 0)))
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"the targets contain {high if high >= num_classes else low}, but there are {num_classes} classes, from 0 to "
            f"{num_classes - 1}; rows, pixels or tokens that are to be ignored must be {IGNORED}"
        )


def check_zero_to_one(target: Tensor, task: str) -> None:
    """Refuse targets below 0 and above 1.

    Args:
        target: (N, ...), numbers or True and False.
        task: for the message, with an article.

    Raises:
        ValueError: with the largest or smallest of them.
    """
    if not target.numel() or target.dtype == torch.bool:
        return
    low, high = (each.item() for each in torch.aminmax(target))
    if low < 0 or high > 1:
        raise ValueError(
            f"the targets contain {high if high > 1 else low:g}, but those of {task} task are 0 and 1"
        )
