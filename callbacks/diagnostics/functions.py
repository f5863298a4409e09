"""Which functions are elementwise nonlinearities: those of torch themselves, not others of the same name."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# A relu is the same, whether it is called as nn.ReLU, F.relu, torch.relu, x.relu() or x.relu_().
RELU_LIKE = {"relu", "relu6", "threshold", "leaky_relu", "rrelu", "prelu", "elu", "selu", "celu"}
RELU_LIKE |= {"gelu", "silu", "mish", "softplus", "hardswish", "hardtanh"}
SIGMOIDS = {"sigmoid", "hardsigmoid"}
TANHS = {"tanh", "softsign"}
NONLINEARITIES = RELU_LIKE | SIGMOIDS | TANHS
# A relu if they keep values from falling below 0, and nothing else.
LOWER_BOUNDS = {"clamp", "clip", "clamp_min"}


def _of_torch(names: set[str]) -> dict[Any, str]:
    """By function: its name, as torch, as F and as a tensor's method, also in place."""
    found = {}
    for name in names:
        for place in (torch, F, Tensor):
            for spelling in (name, name + "_"):
                if function := getattr(place, spelling, None):
                    found[function] = name
    return found


_NONLINEARITIES = _of_torch(NONLINEARITIES) | {torch.special.expit: "sigmoid"}
_LOWER_BOUNDS = _of_torch(LOWER_BOUNDS)


def nonlinearity_of(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> str:
    """The name of the nonlinearity, if this call was one on floating-point numbers; else ""."""
    try:
        name = _NONLINEARITIES.get(function) or _LOWER_BOUNDS.get(function, "")
    except TypeError:  # not hashable
        return ""
    if not name or not isinstance(output, Tensor) or not output.is_floating_point():
        return ""
    if name in LOWER_BOUNDS:
        return ("clamp_min" if name == "clamp_min" else "relu") if _is_relu(args, kwargs) else ""
    return name


def _is_relu(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether these arguments make clamp(input, min, max) a relu."""
    low, high = (kwargs.get(name, args[k] if len(args) > k else None) for k, name in ((1, "min"), (2, "max")))
    return isinstance(low, int | float) and low == 0 and high is None
