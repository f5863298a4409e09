"""One linear layer: linear regression, logistic regression, or softmax regression, as the task says."""

from math import prod
from typing import Any

from torch import Tensor, nn

from lit_models.base import LitModel


class LitLinear(LitModel):
    """logits = x W^T + b.

    `weight` (K, F) and `bias` (K,) apply to inputs as the data module prepared them; its
    `coefficients_in_table_units` translates them back.
    """

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.linear = nn.Linear(prod(self.in_shape), self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (N, *in_shape) to logits (N, K)."""
        return self.linear(x.flatten(1))
