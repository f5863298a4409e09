"""Training data as other people write them: loaders, samplers and data sets that know nothing of this repository.

Many keep a state that PyTorch and Lightning do not save: a count, a random generator, a place in a stream.
"""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, TensorDataset

ROWS = 80  # of the training split


def table(rows: int) -> tuple[Tensor, Tensor]:
    """Inputs (rows, 3) and targets (rows,)."""
    x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))
    return x, x.sum(1)


class Rows(Dataset):
    """Draws noise from the three global generators at each read."""

    def __init__(self, rows: int = ROWS) -> None:
        self.x, self.y = table(rows)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index] + random.random() + np.random.rand() + torch.randn(3), self.y[index]


class OwnNoise(Rows):
    """Draws its noise from a generator of its own, as is current practice with NumPy."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(0)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        noise = torch.tensor(self.rng.standard_normal(3), dtype=torch.float32)
        return self.x[index] + noise, self.y[index]


class FromPython(Sampler):
    """Shuffles with a generator of Python's."""

    def __init__(self) -> None:
        self.rng = random.Random(0)

    def __len__(self) -> int:
        return ROWS

    def __iter__(self) -> Iterator[int]:
        return iter(self.rng.sample(range(ROWS), ROWS))


class FromNumPy(FromPython):
    """Shuffles with a generator of NumPy's."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)

    def __iter__(self) -> Iterator[int]:
        return iter(self.generator.permutation(ROWS).tolist())


class CountsEpochs(FromPython):
    """Its order depends on how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def __iter__(self) -> Iterator[int]:
        self.count += 1
        return iter(np.random.RandomState(self.count).permutation(ROWS).tolist())


class Endless(Sampler):
    """Never ends, so `limit_train_batches` has to end the epoch."""

    def __iter__(self) -> Iterator[int]:
        while True:
            yield from torch.randperm(ROWS).tolist()


class Stream(IterableDataset):
    """Rows drawn anew in each epoch; nobody can ask for a later one without reading those before it."""

    def __init__(self) -> None:
        self.x, self.y = table(ROWS)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for row in torch.randint(ROWS, [ROWS]):
            yield self.x[row] + torch.randn(3), self.y[row]


class StreamWithState(Stream):
    """Begins each epoch where the last one ended; only the stream knows where that was."""

    def __init__(self) -> None:
        super().__init__()
        self.place = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(ROWS - 8):
            self.place = (self.place + 1) % ROWS
            yield self.x[self.place] + torch.randn(3), self.y[self.place]


class SavesItself:
    """A loader that saves its own place, as torchdata's StatefulDataLoader does."""

    def __init__(self, batch_size: int) -> None:
        self.data, self.batch_size, self.next = Rows(), batch_size, 0

    def __len__(self) -> int:
        return ROWS // self.batch_size

    def __iter__(self) -> Iterator[list[Tensor]]:
        self.next %= len(self)
        while self.next < len(self):
            first = self.next * self.batch_size
            self.next += 1
            yield torch.utils.data.default_collate([self.data[first + i] for i in range(self.batch_size)])

    def state_dict(self) -> dict[str, int]:
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.next = state["next"]


SAMPLERS = {
    "python sampler": FromPython,
    "numpy sampler": FromNumPy,
    "counting sampler": CountsEpochs,
    "endless sampler": Endless,
}
STREAMS = {"stream": Stream, "stream with a state": StreamWithState}


class ForeignData(pl.LightningDataModule):
    """One kind of training data.

    Args:
        kind: "shuffled", "own noise", "dict", "combined", "saves itself", or a name in `SAMPLERS` or `STREAMS`.
        num_workers: processes that read.
        batch_size: rows.
        num_val_workers: processes that read for each of two validation loaders, and stay alive.
    """

    def __init__(
        self, kind: str = "shuffled", num_workers: int = 0, batch_size: int = 8, num_val_workers: int = 0
    ) -> None:
        super().__init__()
        self.kind = kind
        self.num_val_workers = num_val_workers
        self.options = {
            "batch_size": batch_size,
            "num_workers": num_workers,
            "persistent_workers": num_workers > 0,
        }

    def train_dataloader(self) -> Any:
        if self.kind in SAMPLERS:
            return DataLoader(Rows(), sampler=SAMPLERS[self.kind](), **self.options)
        if self.kind in STREAMS:
            return DataLoader(STREAMS[self.kind](), **self.options)
        if self.kind == "saves itself":
            return SavesItself(self.options["batch_size"])
        if self.kind in ("dict", "combined"):
            sizes = {"a": ROWS, "b": ROWS // 2}
            both = {
                name: DataLoader(Rows(size), shuffle=True, **self.options) for name, size in sizes.items()
            }
            return both if self.kind == "dict" else CombinedLoader(both, "min_size")
        data = {"shuffled": Rows, "own noise": OwnNoise}[self.kind]
        return DataLoader(data(), shuffle=True, **self.options)

    def val_dataloader(self) -> Any:
        data = TensorDataset(*table(20))
        if not self.num_val_workers:
            return DataLoader(data, batch_size=8)
        options: dict[str, Any] = {"num_workers": self.num_val_workers, "persistent_workers": True}
        return [DataLoader(data, batch_size=8, shuffle=each, **options) for each in (False, True)]
