"""Two hidden layers behind a normalization that learns means and deviations from the stream itself."""

from typing import Any

from torch import Tensor, nn

from lit_models.base import LitModel


class LitReadings(LitModel):
    """Nobody knows the mean of a stream beforehand, so the first layer keeps a running one of each input.

    Args:
        width: units of each hidden layer.
    """

    def __init__(self, *, width: int = 32, **base: Any) -> None:
        super().__init__(**base)
        (num_features,) = self.require_shape("tables", "F")
        self.layers = nn.Sequential(
            nn.BatchNorm1d(num_features, affine=False),
            nn.Linear(num_features, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, self.out_features),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Turn readings (N, F) into logits (N, 1)."""
        return self.layers(x)
