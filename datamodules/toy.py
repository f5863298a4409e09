"""Small synthetic data sets for learning how networks work."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from sklearn.datasets import make_blobs, make_circles, make_regression
from torch import Tensor

from datamodules.base import Split, TensorDataModule, check_choice, check_seed, split_rows
from datamodules.spec import DataSpec

Points = tuple[Tensor, Tensor]  # inputs (N, F) in float64; targets (N,), float64 or class numbers


def linear(num_samples: int, noise: float, num_features: int, seed: int) -> Points:
    """y = w x + noise with normal x and w uniform on [0, 100); scikit-learn's `make_regression`."""
    x, y = make_regression(num_samples, num_features, noise=noise, random_state=seed)
    return torch.from_numpy(x), torch.from_numpy(y)


def nonlinear(num_samples: int, noise: float, num_features: int, seed: int) -> Points:
    """y = x^2 + 15 sin(x)^3 with x from the standard normal distribution; the variance of y is about 57."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num_samples, generator=generator, dtype=torch.float64)
    y = x**2 + 15 * torch.sin(x) ** 3
    return x[:, None], y + noise * torch.randn(num_samples, generator=generator, dtype=torch.float64)


def damped_sine(num_samples: int, noise: float, num_features: int, seed: int) -> Points:
    """y = sin(3 x) exp(-x / 8) at equally spaced points on [-10, 10); the amplitude falls from 3.5 to 0.29."""
    generator = torch.Generator().manual_seed(seed)
    x = -10 + 20 * torch.arange(num_samples, dtype=torch.float64) / num_samples
    y = torch.sin(3 * x) * torch.exp(-x / 8)
    return x[:, None], y + noise * torch.randn(num_samples, generator=generator, dtype=torch.float64)


def circles(num_samples: int, noise: float, num_features: int, seed: int) -> Points:
    """A circle of radius 0.5 (class 1) inside one of radius 1 (class 0); scikit-learn's `make_circles`."""
    x, y = make_circles(num_samples, noise=noise, factor=0.5, random_state=seed)
    return torch.from_numpy(x), torch.from_numpy(y)


def blobs(num_samples: int, noise: float, num_features: int, seed: int) -> Points:
    """Four normal clouds around the corners of a square of side 6; scikit-learn's `make_blobs`."""
    corners = [[-3.0, -3.0], [-3.0, 3.0], [3.0, -3.0], [3.0, 3.0]]
    x, y = make_blobs(num_samples, centers=corners, cluster_std=noise, random_state=seed)
    return torch.from_numpy(x), torch.from_numpy(y).long()


def rings(num_samples: int, noise: float, num_features: int, seed: int) -> Points:
    """A disc r < 1 (class 1) inside a ring 3 < r < 4 (class 0), half of the points in each, evenly spread.

    A hidden sigmoid unit cuts the plane along a line; three lines are needed to enclose the disc.
    """
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(num_samples) % 2
    area, angle = torch.rand(2, num_samples, generator=generator, dtype=torch.float64)
    radius = torch.where(y == 1, area.sqrt(), (9 + 7 * area).sqrt())
    angle = 2 * torch.pi * angle
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return x + noise * torch.randn(num_samples, 2, generator=generator, dtype=torch.float64), y


@dataclass(frozen=True)
class ToySet:
    """One entry of the registry: how to make the points, and what they determine in a model."""

    make: Callable[[int, float, int, int], Points]  # (num_samples, noise, num_features, seed)
    num_samples: int
    noise: float  # deviation, in the units of the quantity that the noise is added to
    task: str = "regression"
    num_features: int | None = 1  # None: a free choice
    num_classes: int = 0

    @property
    def class_names(self) -> list[str]:
        return [str(label) for label in range(self.num_classes)]


TOY_SETS = {
    "linear": ToySet(linear, 500, noise=10.0, num_features=None),
    "nonlinear": ToySet(nonlinear, 500, noise=0.0),
    "damped_sine": ToySet(damped_sine, 200, noise=0.0),
    "circles": ToySet(circles, 300, noise=0.05, task="binary", num_features=2, num_classes=2),
    "blobs": ToySet(blobs, 200, noise=1.0, task="multiclass", num_features=2, num_classes=4),
    "rings": ToySet(rings, 2000, noise=0.0, task="binary", num_features=2, num_classes=2),
}


class ToyDataModule(TensorDataModule):
    """One of the sets in `TOY_SETS`, made from `data_seed` each time.

    The test split is the validation split; the predict split is all rows, named by their index. With
    `val_fraction: 0` every row is used for both training and validation: such figures are in-sample, and say
    how well a network can fit, not how well it predicts.

    Args:
        name: a key of `TOY_SETS`; the function of that name has the formula.
        num_samples: how many points; None for the set's own number.
        noise: deviation of the normal noise; None for the set's own.
        num_features: inputs of "linear"; the other sets have a fixed number.
        data_seed: of the points.
        val_fraction: share of the points that is held out.
        split_seed: decides which points are held out.
        kwargs: see `TensorDataModule`.

    Raises:
        ValueError: for a set that does not exist, or numbers that give no data.
    """

    def __init__(
        self,
        *,
        name: Literal["linear", "nonlinear", "damped_sine", "circles", "blobs", "rings"] = "circles",
        num_samples: int | None = None,
        noise: float | None = None,
        num_features: int | None = None,
        data_seed: int = 0,
        val_fraction: float = 0.2,
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("data.name", name, TOY_SETS)
        self.toy_set = toy_set = TOY_SETS[name]
        self.num_samples = toy_set.num_samples if num_samples is None else num_samples
        self.noise = toy_set.noise if noise is None else noise
        if self.num_samples < 2:
            raise ValueError(f"data.num_samples is {self.num_samples}; it must be at least 2")
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"data.noise is {self.noise}; it is a deviation and must be at least 0")
        check_seed("data.data_seed", data_seed)
        check_seed("data.split_seed", split_seed)
        if not 0 <= val_fraction < 1:
            raise ValueError(f"data.val_fraction is {val_fraction}; it must be at least 0 and below 1")
        if toy_set.num_features and num_features not in (None, toy_set.num_features):
            raise ValueError(f"data.num_features is {num_features}; {name!r} has {toy_set.num_features}")
        if num_features is not None and num_features < 1:
            raise ValueError(f"data.num_features is {num_features}; it must be at least 1")
        self.data_seed = data_seed
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.spec = DataSpec(
            task=toy_set.task,
            in_shape=[toy_set.num_features or num_features or 1],
            out_features=toy_set.num_classes if toy_set.task == "multiclass" else 1,
            class_names=toy_set.class_names,
            in_sample=val_fraction == 0,
        )

    def load(self) -> dict[str, Split]:
        x, y = self.toy_set.make(self.num_samples, self.noise, self.in_features, self.data_seed)
        everything = (x, y)
        predict = (x, torch.arange(len(x)))
        if self.val_fraction == 0:
            return {"train": everything, "val": everything, "test": everything, "predict": predict}
        rows = split_rows(len(x), max(1, round(self.val_fraction * len(x))), self.split_seed)
        held_out = (x[rows["val"]], y[rows["val"]])
        return {
            "train": (x[rows["train"]], y[rows["train"]]),
            "val": held_out,
            "test": held_out,
            "predict": predict,
        }
