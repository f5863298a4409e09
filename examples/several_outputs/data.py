"""Three properties of a house from six numbers about it, each in its own unit; generated."""

from typing import Any

import torch
from torch import Tensor

from datamodules.base import Split, TensorDataModule, split_rows

OUTPUTS = ("price (1000 EUR)", "energy (kWh/m2/year)", "days until sold")
NOISE = (40.0, 10.0, 3.0)  # deviation, in the units of the outputs
NUM_FEATURES = 6


class HousesDataModule(TensorDataModule):
    """Rows (N, 6) and targets (N, 3): around 500, 100 and 30. What no model can predict is noise of a known deviation.

    `normalize_target` scales each output by its own mean and deviation, so that all weigh the same in the loss.

    Args:
        num_rows: in all splits together; a fifth each is for validation and test.
        data_seed: of the rows.
        kwargs: see `TensorDataModule`.
    """

    task, in_shape, out_features = "regression", (NUM_FEATURES,), len(OUTPUTS)
    target_name = OUTPUTS

    def __init__(
        self, *, num_rows: int = 5000, data_seed: int = 0, normalize_target: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(normalize_target=normalize_target, **kwargs)
        self.num_rows, self.data_seed = num_rows, data_seed

    def load(self) -> dict[str, Split]:
        generator = torch.Generator().manual_seed(self.data_seed)
        x = torch.rand(self.num_rows, NUM_FEATURES, generator=generator)
        clean = true_means(x)
        y = clean + torch.tensor(NOISE) * torch.randn(clean.shape, generator=generator)
        rows = split_rows(self.num_rows, num_val=self.num_rows // 5, num_test=self.num_rows // 5, seed=0)
        splits = {name: (x[chosen], y[chosen]) for name, chosen in rows.items()}
        return {**splits, "predict": (x[rows["test"]], rows["test"])}


def true_means(x: Tensor) -> Tensor:
    """The outputs (N, 3) without noise, from rows (N, 6) between 0 and 1: size, age, place, walls, windows, season."""
    size, age, place, walls, windows, season = x.T
    price = 200 + 600 * size * place + 100 * (1 - age) ** 2
    energy = 160 - 60 * walls - 30 * windows * (1 - age) + 30 * age
    days = 30 - 20 * place + 10 * torch.sin(2 * torch.pi * season) + price / 50
    return torch.stack([price, energy, days], dim=1)
