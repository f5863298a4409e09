"""What the contenders of `speed.py` train: three networks, with their data in memory and as single images."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset
from torchvision import datasets, transforms

import datamodules

EVAL_BATCH_SIZE = 1024


def convnet() -> nn.Module:
    """Three blocks of conv 3x3, relu, max-pool 2, with 16, 64 and 128 channels, then linear, in the usual order."""
    blocks = [
        nn.Sequential(nn.Conv2d(n, m, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        for n, m in ((1, 16), (16, 64), (64, 128))
    ]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(128 * 9, 10))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))


def tiny_mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1))


NETWORKS = {"convnet": convnet, "mlp": mlp, "tiny_mlp": tiny_mlp}


@dataclass(frozen=True)
class Problem:
    """A network and its data.

    Args:
        network: one of `NETWORKS`.
        data_class: name of the data module.
        data: the data module's arguments.
        lr: learning rate of Adam.
    """

    network: str
    data_class: str
    data: dict[str, Any]
    lr: float = 1e-3

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        return NETWORKS[self.network]()

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        if logits.shape[1] == 1:
            return F.binary_cross_entropy_with_logits(logits.squeeze(-1), y.to(logits.dtype))
        return F.cross_entropy(logits, y)

    def predict(self, logits: Tensor) -> Tensor:
        return (logits.squeeze(-1) > 0).long() if logits.shape[1] == 1 else logits.argmax(-1)

    def in_memory(self, device: str) -> tuple["InMemory", "InMemory"]:
        """Batches for training and for validation, with the number and size of the data module's batches."""
        module = self._module()
        (x, y), (x_val, y_val) = (
            (module.transform_batch(module.prepare_inputs(x)).to(device), y.to(device))
            for x, y in (module.splits["train"], module.splits["val"])
        )
        train = InMemory(x, y, self.data["batch_size"], self.passes)
        return train, InMemory(x_val, y_val, EVAL_BATCH_SIZE)

    def loaders(self) -> tuple[DataLoader, DataLoader]:
        """The same rows through a DataLoader: images from torchvision one by one, tables from a TensorDataset."""
        splits = self._module().splits
        if self.data_class == "MNISTDataModule":
            train, val = (TorchvisionMNIST(*splits[name]) for name in ("train", "val"))
        else:
            x, y = self.in_memory("cpu")[0].tensors
            train = val = TensorDataset(x, y)
        batch_size = self.data["batch_size"] or len(train)
        order = RandomSampler(train, num_samples=self.passes * len(train))
        return DataLoader(train, batch_size, sampler=order), DataLoader(val, EVAL_BATCH_SIZE)

    @property
    def passes(self) -> int:
        """How often an epoch goes through the training split."""
        return self.data.get("passes_per_epoch", 1)

    def _module(self) -> datamodules.TensorDataModule:
        module = getattr(datamodules, self.data_class)(**self.data)
        module.setup()
        return module


class InMemory:
    """What a hand-written loop iterates over: a new order for each pass, and one gather per batch."""

    def __init__(self, x: Tensor, y: Tensor, batch_size: int | None, passes: int = 1) -> None:
        self.tensors, self.batch_size, self.passes = (x, y), batch_size or len(x), passes

    def __len__(self) -> int:
        return self.passes * -(-len(self.tensors[0]) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        x, y = self.tensors
        if self.batch_size == len(x):
            yield from [(x, y)] * self.passes
            return
        for rows in self.rows():
            yield x.index_select(0, rows), y.index_select(0, rows)

    def rows(self) -> Iterator[Tensor]:
        """The rows of each batch; those of a full batch need no order."""
        number, device = len(self.tensors[0]), self.tensors[0].device
        arrange = torch.arange if self.batch_size == number else torch.randperm
        for _ in range(self.passes):
            yield from arrange(number, device=device).split(self.batch_size)


class TorchvisionMNIST(datasets.MNIST):
    """torchvision's own way of reading an image, on the rows that all contenders share."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.data, self.targets = x[:, 0], y
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
        )
        self.target_transform = None
