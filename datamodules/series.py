"""Noisy trends whose first part is known and whose future is to be predicted."""

import math
from typing import Any, Literal

import torch
from torch import Tensor

from datamodules.base import Split, TensorDataModule, check_choice, check_seed
from datamodules.spec import DataSpec

TRENDS = ("linear", "quadratic", "both")


class SeriesDataModule(TensorDataModule):
    """Series x_t = level + b u + c u^2 + noise with u = t / length, for the steps t = 0 ... length - 1.

    Level, b and c are drawn for each series from normal distributions of deviation 10, with c = 0 for a
    linear trend. Each series is cut in time: the first `known_fraction` of its steps is for training, the rest
    is held out, and serves as both the validation and the test split. With K known steps, H held-out steps and
    N series,

    - a training batch is (x_0 ... x_{K-2}, x_1 ... x_{K-1}), each (N, K - 1, 1): predict the next value
      from the true ones before it (teacher forcing);
    - a batch of validation and test is (x_0 ... x_{K-1}, x_K ... x_{K+H-1}), (N, K, 1) and (N, H, 1):
      continue the known part freely;
    - a batch of prediction has the numbers of the H steps, (N, H), instead of the future.

    A trend leaves the range of its training values, but its differences hardly do. So inputs and targets are
    in units of the typical difference between two steps of the training part (its root mean square), after
    its mean level was subtracted. A network that reads differences and adds one to the last value then works
    with numbers around 1, and its predictions can be fed back unchanged.

    Args:
        trend: "linear", "quadratic", or "both" (half of the series each).
        num_series: N.
        length: K + H, in steps.
        known_fraction: K / length.
        noise: deviation of the noise, in the units of the series, independent at each step.
        data_seed: of the series.
        normalize: use the units above; otherwise values are left unchanged.
        kwargs: see `TensorDataModule`.

    Raises:
        ValueError: for numbers that leave too little to train on or nothing to forecast.
    """

    def __init__(
        self,
        *,
        trend: Literal["linear", "quadratic", "both"] = "both",
        num_series: int = 200,
        length: int = 100,
        known_fraction: float = 0.7,
        noise: float = 0.3,
        data_seed: int = 0,
        normalize: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(normalize=normalize, normalize_target=normalize, **kwargs)
        check_choice("data.trend", trend, TRENDS)
        if num_series < 1:
            raise ValueError(f"data.num_series is {num_series}; it must be at least 1")
        if not 0 <= noise < math.inf:
            raise ValueError(f"data.noise is {noise}; it is a deviation and must be at least 0")
        if not math.isfinite(known_fraction):
            raise ValueError(f"data.known_fraction is {known_fraction}; it must be above 0 and below 1")
        check_seed("data.data_seed", data_seed)
        self.num_known = round(known_fraction * length)
        self.horizon = length - self.num_known
        if self.num_known < 3 or self.horizon < 1:
            raise ValueError(
                f"data.known_fraction {known_fraction} of data.length {length} leaves {self.num_known} known "
                f"and {self.horizon} held-out steps; there must be at least 3 and 1"
            )
        self.trend = trend
        self.num_series = num_series
        self.length = length
        self.noise = noise
        self.data_seed = data_seed
        self.spec = DataSpec(
            task="regression",
            in_shape=[self.num_known, 1],
            out_features=1,
            id_name="step",
            sample_name="series",
        )

    def load(self) -> dict[str, Split]:
        series = make_trends(self.trend, self.num_series, self.length, self.noise, self.data_seed)
        known, future = series[:, : self.num_known], series[:, self.num_known :]
        steps = torch.arange(self.num_known, self.length).expand(len(series), -1)
        return {
            "train": (known[:, :-1], known[:, 1:]),
            "val": (known, future),
            "test": (known, future),
            "predict": (known, steps),
        }

    def fit_statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The same mean level and unit for inputs and targets, each a scalar."""
        if not self.normalize:
            return super().fit_statistics(x, y)
        mean, unit = x.mean(), (y - x).square().mean().sqrt()
        unit = torch.where(unit > 0, unit, 1.0)
        return {"input_mean": mean, "input_std": unit, "target_mean": mean, "target_std": unit}


def make_trends(trend: str, num_series: int, length: int, noise: float, seed: int) -> Tensor:
    """Series (N, length, 1) in float64, as `SeriesDataModule` describes them."""
    generator = torch.Generator().manual_seed(seed)
    level, slope, curvature = 10 * torch.randn(3, num_series, 1, generator=generator, dtype=torch.float64)
    is_quadratic = torch.arange(num_series)[:, None] % 2 == 1
    if trend != "both":
        is_quadratic = torch.full_like(is_quadratic, trend == "quadratic")
    u = torch.arange(length, dtype=torch.float64) / length
    clean = level + slope * u + is_quadratic * curvature * u**2
    return (clean + noise * torch.randn(clean.shape, generator=generator, dtype=torch.float64))[..., None]
