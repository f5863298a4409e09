"""Two hidden layers and one logit for each label."""

from typing import Any

from torch import Tensor, nn

from lit_models.base import LitModel


class LitGenres(LitModel):
    """Labels share the hidden layers.

    Args:
        width: units of each hidden layer.
    """

    def __init__(self, *, width: int = 64, **base: Any) -> None:
        super().__init__(**base)
        (num_features,) = self.require_shape("tables", "F")
        self.layers = nn.Sequential(
            nn.Linear(num_features, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, self.out_features),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Turn rows (N, F) into logits (N, K), one for each label."""
        return self.layers(x)
