"""Eight small clouds of points on a circle, which a generator is to imitate; generated."""

from typing import Any

import torch
from torch import Tensor

from datamodules.base import Split, TensorDataModule

NUM_CLOUDS = 8
DEVIATION = 0.05  # of each cloud; the circle has radius 1


class CloudsDataModule(TensorDataModule):
    """Points (N, 2), and the number of each point's cloud (N,), which is not used.

    Args:
        num_points: of the training split; validation and test have 2,000 each.
        data_seed: of the points.
        kwargs: see `TensorDataModule`.
    """

    task, in_shape, out_features = "reconstruction", (2,), 2

    def __init__(self, *, num_points: int = 10_000, data_seed: int = 0, **kwargs: Any) -> None:
        super().__init__(normalize=False, **kwargs)
        self.num_points, self.data_seed = num_points, data_seed

    def load(self) -> dict[str, Split]:
        generator = torch.Generator().manual_seed(self.data_seed)
        sizes = {"train": self.num_points, "val": 2000, "test": 2000}
        splits = {name: draw_points(size, generator) for name, size in sizes.items()}
        x_test, _ = splits["test"]
        return {**splits, "predict": (x_test, torch.arange(len(x_test)))}


def draw_points(num_points: int, generator: torch.Generator) -> Split:
    """Points (N, 2) and the number of their cloud (N,)."""
    cloud = torch.randint(NUM_CLOUDS, (num_points,), generator=generator)
    noise = DEVIATION * torch.randn(num_points, 2, generator=generator)
    return centers()[cloud] + noise, cloud


def centers() -> Tensor:
    """The centers of the clouds (8, 2)."""
    angle = 2 * torch.pi * torch.arange(NUM_CLOUDS) / NUM_CLOUDS
    return torch.stack([angle.cos(), angle.sin()], dim=1)
