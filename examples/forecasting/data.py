"""Demand for electricity by the hour, with the weather, from a table; windows slide over it.

python -m examples.forecasting.data       writes demand.csv anew: it is generated, by `make_table`
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from datamodules.base import Split, TensorDataModule

FILE = Path(__file__).parent / "demand.csv"
DAY = 24  # hours


class DemandDataModule(TensorDataModule):
    """From the columns of the last hours (N, num_known, F) to a column's next hours (N, horizon).

    The table is cut in time: the first 70 % of the hours are for training, then 15 % each for validation and test. A
    window belongs to the part in which all of its target lies, so no hour is a target in two parts.

    Args:
        csv: a table with one row for each hour.
        columns: that the network reads.
        target: the column to forecast.
        num_known: hours that the network reads.
        horizon: hours to forecast.
        kwargs: see `TensorDataModule`.
    """

    def __init__(
        self,
        *,
        csv: str = str(FILE),
        columns: tuple[str, ...] = ("demand", "temperature", "holiday"),
        target: str = "demand",
        num_known: int = 72,
        horizon: int = 24,
        normalize_target: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(normalize_target=normalize_target, **kwargs)
        self.csv, self.columns, self.target = csv, list(columns), target
        self.num_known, self.horizon = num_known, horizon
        self.task, self.id_name = "regression", "hour"
        self.sample_name, self.in_time_order = "window", True
        self.in_shape, self.out_features = (num_known, len(self.columns)), horizon

    def load(self) -> dict[str, Split]:
        table = pd.read_csv(self.csv)
        known = torch.tensor(table[self.columns].to_numpy(np.float32))
        target = torch.tensor(table[self.target].to_numpy(np.float32))
        first, second = int(0.7 * len(table)), int(0.85 * len(table))
        parts = {"train": (self.num_known, first), "val": (first, second), "test": (second, len(table))}
        splits = {name: self.windows(known, target, *part) for name, part in parts.items()}
        x_test, _ = splits["test"]
        return {**splits, "predict": (x_test, torch.arange(second, second + len(x_test)))}

    def windows(self, known: Tensor, target: Tensor, start: int, stop: int) -> Split:
        """All windows whose target begins at `start` or later and ends before `stop`."""
        x = known[start - self.num_known : stop - self.horizon].unfold(0, self.num_known, 1)
        return x.transpose(1, 2), target[start:stop].unfold(0, self.horizon, 1)


def make_table(num_days: int = 150, seed: int = 0) -> pd.DataFrame:
    """Demand (MW) with a daily and a weekly rhythm, more when it is cold (temperature in C), less on holidays."""
    random = np.random.default_rng(seed)
    hours = np.arange(num_days * DAY)
    day, hour = hours // DAY, hours % DAY
    weather = slow_noise(random, len(hours), memory=0.98, deviation=3.0)
    temperature = 8 - 4 * np.cos(2 * np.pi * (hour - 3) / DAY) + weather
    holiday = np.isin(day % 7, (5, 6)).astype(int)
    rhythm = 12 * np.sin(2 * np.pi * (hour - 8) / DAY) + 5 * np.sin(4 * np.pi * (hour - 6) / DAY)
    cold = np.maximum(14 - temperature, 0)
    noise = slow_noise(random, len(hours), memory=0.8, deviation=1.5)
    demand = 60 + rhythm * (1 - 0.5 * holiday) - 8 * holiday + 1.5 * cold + noise
    columns = {"hour": hours, "demand": demand, "temperature": temperature, "holiday": holiday}
    return pd.DataFrame(columns).round(2)


def slow_noise(random: np.random.Generator, length: int, memory: float, deviation: float) -> np.ndarray:
    """Noise (length,) of which each value keeps the share `memory` of the one before."""
    values = np.zeros(length)
    pushes = deviation * np.sqrt(1 - memory**2) * random.standard_normal(length)
    for step in range(1, length):
        values[step] = memory * values[step - 1] + pushes[step]
    return values


if __name__ == "__main__":
    make_table().to_csv(FILE, index=False)
