"""Deep networks and their data, for the tests of rules and reports."""

import math

import torch
from torch import nn

from tests.callbacks.plain import mlp

HE = math.sqrt(2)
G = torch.Generator().manual_seed(1)
X = torch.randn(256, 16, generator=G)
Y = torch.tanh(X[:, :4].sum(1, keepdim=True))


def deep(activation, depth=20, width=64, gain=None, bias=True):
    """16-64-...-64-1; weights of deviation gain / sqrt(n), or PyTorch's own where `gain` is None."""
    net = mlp(16, *[width] * (depth - 1), 1, activation=activation, bias=bias)
    for layer in net[::2] if gain is not None else []:
        nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_features))
        if bias:
            nn.init.zeros_(layer.bias)
    return net
