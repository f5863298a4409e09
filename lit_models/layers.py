"""Activation functions by name, and the initial weights of linear and convolutional layers."""

from math import isfinite
from typing import Literal

from torch import nn

ActivationName = Literal["sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus"]
InitName = Literal["default", "xavier", "he", "orthogonal"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
}


def new_activation(name: str) -> nn.Module:
    """The activation function of that name.

    Raises:
        ValueError: if there is none.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation is {name!r}; it must be one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def initialize(network: nn.Module, init: str, gain: float = 1.0) -> None:
    """Draw new weights for all linear and convolutional layers; biases start at 0 except with "default".

    Args:
        network: changed in place.
        init: "default" leaves PyTorch's own initialization (weights and biases uniform within 1 / sqrt(fan_in));
            "xavier" keeps the variance of signals through linear units (Glorot and Bengio 2010), with standard
            deviation sqrt(2 / (fan_in + fan_out)); "he" the same through relu (He et al. 2015,
            https://arxiv.org/abs/1502.01852), sqrt(2 / fan_in); "orthogonal" draws orthogonal matrices
            (Saxe et al. 2014, https://arxiv.org/abs/1312.6120).
        gain: multiplies the weights; with "default" the biases, too.

    Raises:
        ValueError: for another name, or a gain that is not a number.
    """
    draw = {
        "default": lambda weight: weight.data.mul_(gain),
        "xavier": lambda weight: nn.init.xavier_normal_(weight, gain),
        "he": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu").data.mul_(gain),
        "orthogonal": lambda weight: nn.init.orthogonal_(weight, gain),
    }
    if not isfinite(gain):
        raise ValueError(f"init_gain is {gain}; it must be a finite number")
    if init not in draw:
        raise ValueError(f"init is {init!r}; it must be one of {', '.join(draw)}")
    for module in network.modules():
        if not isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        draw[init](module.weight)
        if module.bias is not None:
            # The default bias is scaled with the weights, so a steeper sigmoid unit keeps its threshold -b / w.
            module.bias.data.mul_(gain if init == "default" else 0.0)
