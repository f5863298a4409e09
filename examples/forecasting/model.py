"""Recurrent network that reads some days and forecasts the next one at once."""

from typing import Any

from torch import Tensor, nn

from lit_models.base import LitModel


class LitForecaster(LitModel):
    """A gated recurrent unit reads the known hours; a linear layer forecasts all hours from what it remembers.

    A second linear layer, from the known hours directly to the forecast, spares it from remembering the daily rhythm
    (Zeng et al. 2023, https://arxiv.org/abs/2205.13504).

    Args:
        hidden_size: numbers that the network remembers from hour to hour.
    """

    def __init__(self, *, hidden_size: int = 32, **base: Any) -> None:
        super().__init__(**base)
        num_known, num_columns = self.require_shape("series", "T F")
        self.rnn = nn.GRU(num_columns, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, self.out_features)
        self.direct = nn.Linear(num_known * num_columns, self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Turn known hours (N, T, F) into forecasts (N, K)."""
        hidden, _ = self.rnn(x)
        return self.head(hidden[:, -1]) + self.direct(x.flatten(1))
