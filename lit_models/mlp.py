"""Multilayer perceptron of any depth and width."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

from torch import Tensor, nn

from lit_models.base import LitModel
from lit_models.layers import ActivationName, InitName, initialize, new_activation


class LitMLP(LitModel):
    """Linear layers with an activation function between them.

    Args:
        hidden_sizes: units of each hidden layer.
        depth: repeats `hidden_sizes` this often; `--model.hidden_sizes [10] --model.depth 20` is 20 layers of 10.
        activation: of the hidden layers.
        init: of the weights, see `initialize`.
        init_gain: multiplies the initial weights.
        bias: whether the layers have a bias.
        dropout: share of hidden units that are dropped in each training step.
    """

    def __init__(
        self,
        *,
        hidden_sizes: Sequence[int] = (100,),
        depth: int = 1,
        activation: ActivationName = "relu",
        init: InitName = "default",
        init_gain: float = 1.0,
        bias: bool = True,
        dropout: float = 0.0,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        if depth < 0:
            raise ValueError(f"depth is {depth}; it must be at least 0")
        sizes = [prod(self.in_shape), *list(hidden_sizes) * depth, self.out_features]
        self.layers = mlp(sizes, activation, bias=bias, dropout=dropout)
        initialize(self.layers, init, init_gain)

    def forward(self, x: Tensor) -> Tensor:
        """Turn inputs (N, *in_shape) into logits (N, K)."""
        return self.layers(x.flatten(1))


def mlp(
    sizes: Sequence[int], activation_name: str, *, bias: bool = True, dropout: float = 0.0
) -> nn.Sequential:
    """Linear layers from each size to the next, with an activation function (and dropout) between them.

    Raises:
        ValueError: for a size below 1, an unknown activation function, or a dropout outside [0, 1).
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}; it is a share, from 0 to below 1")
    if min(sizes) < 1:
        raise ValueError(f"layer sizes are {list(sizes)}; each must be at least 1")
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers.append(nn.Linear(fan_in, fan_out, bias=bias))
        layers.append(new_activation(activation_name))
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
    num_after_last = 2 if dropout > 0 else 1
    return nn.Sequential(*layers[:-num_after_last])
