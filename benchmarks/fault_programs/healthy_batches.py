"""Healthy programs with other forms of batches, data sets and losses."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, convnet, healthy, mlp
from benchmarks.fault_programs.controls import fast
from benchmarks.fault_programs.data import Data, diabetes, digits, flat, loaders, wine
from benchmarks.fault_programs.healthy_networks import program


@dataclass
class Batch:
    x: Tensor
    y: Tensor

    def to(self, device):
        return Batch(self.x.to(device), self.y.to(device))


def as_dict(rows):
    x, y = zip(*rows, strict=True)
    return {"image": torch.stack(x), "label": torch.stack(y), "name": ["digit"] * len(x)}


def as_dataclass(rows):
    x, y = zip(*rows, strict=True)
    return Batch(torch.stack(x), torch.stack(y))


class Other(HandWritten):
    """A convolutional network whose batches are dicts or dataclasses."""

    optimizer = staticmethod(fast)

    def __init__(self) -> None:
        super().__init__()
        self.net = convnet(8, 16)

    def step(self, batch):
        x, y = (batch["image"], batch["label"]) if isinstance(batch, dict) else (batch.x, batch.y)
        return F.cross_entropy(self.net(x), y)


for name, collate in {
    "batches_that_are_dicts": as_dict,
    "batches_that_are_dataclasses": as_dataclass,
}.items():
    healthy(name, lambda c=collate: Run(Other(), loaders(digits(), collate_fn=c)[0]), "healthy_batches")


@program
def iterable_data_set() -> Run:
    data = flat(digits())

    class Stream(IterableDataset):
        def __iter__(self):
            for i in torch.randperm(len(data.x)).tolist():
                yield data.x[i], data.y[i]

    return Run(Supervised(mlp(64, 64, 10)), DataLoader(Stream(), 32), loaders(data)[1])


@program
def two_validation_sets() -> Run:
    class Net(Supervised):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            self.log("val/loss", self.loss(self(batch[0]), batch[1]))

    data = flat(wine())
    train, val = loaders(data, 16)
    return Run(
        Net(mlp(13, 32, 3), optimizer=fast),
        train,
        [val, DataLoader(TensorDataset(data.x_val, data.y_val), 8)],
        10,
    )


@program
def quantile_regression() -> Run:
    levels = torch.tensor([0.1, 0.5, 0.9])

    def pinball(out, y):
        return torch.maximum(levels * (y - out), (levels - 1) * (y - out)).mean()

    return Run(Supervised(mlp(10, 32, 3), pinball, fast), *loaders(diabetes()), epochs=8)


@program
def poisson_regression() -> Run:
    x = torch.randn(1280, 5)
    y = torch.poisson((x @ torch.tensor([[0.5], [-0.5], [0.3], [0.0], [0.8]]) + 1).exp())
    data = Data(x[:1024], y[:1024], x[1024:], y[1024:])
    return Run(Supervised(mlp(5, 32, 1), nn.PoissonNLLLoss(), fast), *loaders(data))
