"""Small data that need no network: scikit-learn's bundled tables and digits, its own descriptions as text, sequences."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from sklearn import datasets
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

BATCH = 32


class Data(NamedTuple):
    """Inputs and targets of training and validation."""

    x: Tensor
    y: Tensor
    x_val: Tensor
    y_val: Tensor


def loaders(data: Data, batch_size: int = BATCH, **options) -> tuple[DataLoader, DataLoader]:
    """Shuffled batches for training, and batches for validation in order."""
    options = {"shuffle": True} | options
    train = DataLoader(TensorDataset(data.x, data.y), batch_size, **options)
    return train, DataLoader(TensorDataset(data.x_val, data.y_val), 256)


def split(x: Tensor, y: Tensor, n: int) -> Data:
    """The first n rows in a fixed random order for training, the others for validation."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return Data(x[:n], y[:n], x[n:], y[n:])


def standardized(data: Data) -> Data:
    """Each feature with the mean 0 and the deviation 1 that it has in training."""
    mean, std = data.x.mean(0), data.x.std(0)
    return data._replace(x=(data.x - mean) / std, x_val=(data.x_val - mean) / std)


@lru_cache
def _digits() -> Data:
    x, y = datasets.load_digits(return_X_y=True)
    x = torch.tensor(x, dtype=torch.float32).view(-1, 1, 8, 8)
    return split(x, torch.tensor(y), 1280)


def raw_digits() -> Data:
    """Digits (N, 1, 8, 8) with pixels from 0 to 255, and their classes (N,)."""
    x, y, x_val, y_val = _digits()
    return Data((x * 255 / 16).round(), y.clone(), (x_val * 255 / 16).round(), y_val.clone())


def digits() -> Data:
    """Digits (N, 1, 8, 8) with mean 0 and deviation 1 over all pixels, and their classes (N,)."""
    x, y, x_val, y_val = _digits()
    mean, std = x.mean(), x.std()
    return Data((x - mean) / std, y.clone(), (x_val - mean) / std, y_val.clone())


def flat(data: Data) -> Data:
    return data._replace(x=data.x.flatten(1), x_val=data.x_val.flatten(1))


def rare(share: float = 0.1, data: Data | None = None) -> Data:
    """Digits in two classes, of which class 1 (the digit 8) has this share."""
    data = data or flat(digits())

    def thin(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        eights, others = (y == 8).nonzero()[:, 0], (y != 8).nonzero()[:, 0]
        eights = eights[: max(4, round(len(others) * share / (1 - share)))]
        rows = torch.cat([others, eights])
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
        return x[rows], (y[rows] == 8).long()

    return Data(*thin(data.x, data.y), *thin(data.x_val, data.y_val))


@lru_cache
def _table(name: str) -> tuple[Tensor, Tensor]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def cancer(raw: bool = False) -> Data:
    """Breast cancer: 30 measurements, standardized, and whether it is benign (N, 1), as 0.0 or 1.0."""
    x, y = _table("breast_cancer")
    data = split(x, y.float()[:, None], 448)
    return data if raw else standardized(data)


def wine() -> Data:
    """Wine: 13 measurements, standardized, and one of three classes (N,)."""
    return standardized(split(*_table("wine"), 128))


def diabetes(raw: bool = False) -> Data:
    """Diabetes: 10 measurements, and the progress of the disease (N, 1): standardized, or raw, from 25 to 346."""
    x, y = _table("diabetes")
    data = standardized(split(x, y.float()[:, None], 352))
    if raw:
        return data
    mean, std = data.y.mean(), data.y.std()
    return data._replace(y=(data.y - mean) / std, y_val=(data.y_val - mean) / std)


def waves(n: int = 1280, length: int = 20) -> Data:
    """Noisy sines (N, length, 1) of one of three frequencies, which is the class (N,)."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 3, (n,), generator=generator)
    phase = torch.rand(n, 1, generator=generator) * 6.28
    time = torch.arange(length) * (0.3 + 0.4 * y[:, None])
    x = torch.sin(time + phase) + 0.1 * torch.randn(n, length, generator=generator)
    return split(x[..., None], y, int(0.8 * n))


def sums(n: int = 1280, length: int = 12) -> Data:
    """Sequences (N, length, 1) of normal numbers, and their running mean at the end (N, 1), times sqrt(length)."""
    x = torch.randn(n, length, 1, generator=torch.Generator().manual_seed(1))
    return split(x, x.mean(1) * length**0.5, int(0.8 * n))


def rows() -> Data:
    """Digits as sequences of eight rows (N, 8, 8), and their classes (N,)."""
    data = digits()
    return data._replace(x=data.x[:, 0], x_val=data.x_val[:, 0])


@lru_cache
def _text() -> tuple[Tensor, int]:
    names = ("digits", "iris", "wine", "breast_cancer", "diabetes", "linnerud")
    text = "\n".join(getattr(datasets, f"load_{name}")().DESCR for name in names).lower()
    alphabet = sorted(set(text))
    return torch.tensor([alphabet.index(letter) for letter in text]), len(alphabet)


def text(length: int = 32, n: int = 1024) -> tuple[Tensor, Tensor, int]:
    """Windows (N, length + 1) of scikit-learn's descriptions, for training and validation, and the number of letters."""
    letters, size = _text()
    cut = int(0.85 * len(letters))
    generator = torch.Generator().manual_seed(0)

    def windows(part: Tensor, count: int) -> Tensor:
        starts = torch.randint(0, len(part) - length - 1, (count,), generator=generator)
        return part[starts[:, None] + torch.arange(length + 1)]

    return windows(letters[:cut], n), windows(letters[cut:], 256), size


def language(length: int = 32) -> tuple[Data, int]:
    """Letters (N, length) and the next letters (N, length); the alphabet's size."""
    train, val, size = text(length)
    return Data(train[:, :-1], train[:, 1:], val[:, :-1], val[:, 1:]), size
