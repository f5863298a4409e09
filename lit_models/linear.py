"""One linear layer: linear, logistic or softmax regression, depending on the task."""

from math import prod
from typing import Any

from torch import Tensor, nn

from lit_models.base import LitModel


class LitLinear(LitModel):
    """logits = x W^T + b.

    `weight` (K, F) and `bias` (K,) apply to prepared inputs; the data module's `coefficients_in_table_units` converts
    them to raw inputs.
    """

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.linear = nn.Linear(prod(self.in_shape), self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Turn inputs (N, *in_shape) into logits (N, K)."""
        return self.linear(x.flatten(1))
