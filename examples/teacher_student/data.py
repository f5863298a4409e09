"""MNIST with few labels: the other images are there, but nothing says what they show."""

from typing import Any

import torch

from datamodules import MNISTDataModule
from datamodules.base import Split

UNLABELED = -100  # the class of images without a label


class FewLabelsMNISTDataModule(MNISTDataModule):
    """The training split has labels for its first images only; they are repeated, so that every batch has some.

    Args:
        num_labels: images with a label.
        share: part of the rows of an epoch that have one.
        kwargs: see `MNISTDataModule`.
    """

    def __init__(self, *, num_labels: int = 100, share: float = 0.25, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < share < 1:
            raise ValueError(f"data.share is {share}; it must be between 0 and 1")
        self.num_labels, self.share = num_labels, share

    def load(self) -> dict[str, Split]:
        splits = super().load()
        x, y = splits["train"]
        if not 0 < self.num_labels < len(x):
            raise ValueError(f"data.num_labels is {self.num_labels}, and there are {len(x)} images")
        labeled, unlabeled = torch.arange(self.num_labels), torch.arange(self.num_labels, len(x))
        times = round(len(unlabeled) * self.share / (1 - self.share) / self.num_labels)
        rows = torch.cat([labeled.repeat(max(1, times)), unlabeled])
        target = y.clone()
        target[unlabeled] = UNLABELED
        return {**splits, "train": (x[rows], target[rows])}
