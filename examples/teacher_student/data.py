"""Two moons of points, of which only a few have a label; generated."""

from typing import Any

import torch

from datamodules.base import Split, TensorDataModule

UNLABELED = -100  # the class of points without a label


class MoonsDataModule(TensorDataModule):
    """Points (N, 2) in two half circles, and the half circle of each (N,), or UNLABELED.

    The points with a label are repeated, so that every batch has some.

    Args:
        num_points: of the training split; validation and test have 2,000 each, all with labels.
        num_labels: points of the training split that have a label.
        share: part of the training rows that have one, once they are repeated.
        noise: deviation of each coordinate; the half circles have radius 1.
        data_seed: of the points.
        kwargs: see `TensorDataModule`.
    """

    task, in_shape, out_features = "multiclass", (2,), 2

    def __init__(
        self,
        *,
        num_points: int = 1000,
        num_labels: int = 8,
        share: float = 0.25,
        noise: float = 0.1,
        data_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < num_labels < num_points:
            raise ValueError(f"data.num_labels is {num_labels}; it must be from 1 to {num_points - 1}")
        if not 0 < share < 1:
            raise ValueError(f"data.share is {share}; it must be between 0 and 1")
        self.num_points, self.num_labels, self.share = num_points, num_labels, share
        self.noise, self.data_seed = noise, data_seed

    def load(self) -> dict[str, Split]:
        generator = torch.Generator().manual_seed(self.data_seed)
        x, y = draw_moons(self.num_points, self.noise, generator)
        splits = {name: draw_moons(2000, self.noise, generator) for name in ("val", "test")}
        labeled, others = x[: self.num_labels], x[self.num_labels :]
        times = max(1, round(len(others) * self.share / (1 - self.share) / self.num_labels))
        labels = y[: self.num_labels].repeat(times)
        x_train = torch.cat([labeled.repeat(times, 1), others])
        y_train = torch.cat([labels, torch.full((len(others),), UNLABELED)])
        x_test, _ = splits["test"]
        return {"train": (x_train, y_train), **splits, "predict": (x_test, torch.arange(len(x_test)))}


def draw_moons(num_points: int, noise: float, generator: torch.Generator) -> Split:
    """Points (N, 2) and their class (N,); the classes alternate."""
    y = torch.arange(num_points) % 2
    angle = torch.pi * torch.rand(num_points, generator=generator)
    upper = torch.stack([angle.cos(), angle.sin()], dim=1)
    points = torch.where(y[:, None] == 0, upper, torch.tensor([1.0, 0.5]) - upper)
    return points + noise * torch.randn(num_points, 2, generator=generator), y
