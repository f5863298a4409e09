"""Films with several genres each, from eight numbers about them; generated."""

from typing import Any

import torch
from torch import Tensor

from datamodules.base import Split, TensorDataModule, split_rows

GENRES = ("comedy", "drama", "crime", "romance", "horror")
NUM_FEATURES = 8


class GenresDataModule(TensorDataModule):
    """Rows (N, 8), and for each of the five genres 0 or 1 (N, 5).

    A genre applies with a probability that `true_probabilities` knows, so the best loss that any model can reach is
    known, too. Genres are of different frequency, and most films have several.

    Args:
        num_rows: in all splits together; a fifth each is for validation and test.
        data_seed: of the rows.
        kwargs: see `TensorDataModule`.
    """

    task, in_shape, out_features = "multilabel", (NUM_FEATURES,), len(GENRES)
    class_names = GENRES

    def __init__(self, *, num_rows: int = 10_000, data_seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_rows, self.data_seed = num_rows, data_seed

    def load(self) -> dict[str, Split]:
        generator = torch.Generator().manual_seed(self.data_seed)
        x = torch.randn(self.num_rows, NUM_FEATURES, generator=generator)
        y = torch.bernoulli(true_probabilities(x), generator=generator).long()
        rows = split_rows(self.num_rows, num_val=self.num_rows // 5, num_test=self.num_rows // 5, seed=0)
        splits = {name: (x[chosen], y[chosen]) for name, chosen in rows.items()}
        return {**splits, "predict": (x[rows["test"]], rows["test"])}


def true_probabilities(x: Tensor) -> Tensor:
    """The probability of each genre (N, 5), from rows (N, 8); two genres depend on products of features."""
    scores = [
        2 * x[:, 0] - x[:, 1],
        2 * x[:, 1] * x[:, 2] + 1,
        x[:, 3] + 2 * x[:, 4] - 2,
        3 * torch.tanh(x[:, 5]) - x[:, 0],
        2 * x[:, 6] * x[:, 7] - 2,
    ]
    return torch.stack(scores, dim=1).sigmoid()
