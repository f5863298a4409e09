"""A shared layer, then a head of its own for each output."""

from typing import Any

import torch
from torch import Tensor, nn

from lit_models.base import LitModel


class LitHeads(LitModel):
    """Multi-task regression by shared hidden units; Caruana 1997, https://doi.org/10.1023/A:1007379606734.

    Args:
        width: units of the shared layer.
        head_width: units of the hidden layer of each head.
    """

    def __init__(self, *, width: int = 64, head_width: int = 32, **base: Any) -> None:
        super().__init__(**base)
        (num_features,) = self.require_shape("tables", "F")
        self.shared = nn.Sequential(nn.Linear(num_features, width), nn.SiLU())
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, head_width), nn.SiLU(), nn.Linear(head_width, 1))
            for _ in range(self.out_features)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Turn rows (N, F) into outputs (N, K)."""
        h = self.shared(x)
        return torch.cat([head(h) for head in self.heads], dim=1)
