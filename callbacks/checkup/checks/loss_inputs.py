"""What the loss functions of a step were given: by its values, and by what computed it."""

from __future__ import annotations

import torch
from torch import Tensor

from callbacks.checkup.subject import Subject
from callbacks.diagnostics.loss_calls import LossCall, node_of, origin_of

# Nonlinearities by the name of their autograd node, as a reader knows them. Leaky ones keep every value apart.
_BENDS = {
    "Relu": "relu",
    "Threshold": "relu",
    "Softplus": "softplus",
    "Gelu": "gelu",
    "Silu": "silu",
    "Mish": "mish",
}
_BENDS |= {
    "Hardswish": "hardswish",
    "Elu": "elu",
    "Celu": "celu",
    "Sigmoid": "sigmoid",
    "Hardsigmoid": "sigmoid",
}
_BENDS |= {"Tanh": "tanh"}

_INF = float("inf")
_RANGES = {"Relu": ("relu", 0.0, _INF), "Threshold": ("relu", 0.0, _INF), "Softplus": ("softplus", 0.0, _INF)}
_RANGES |= {
    "Sigmoid": ("sigmoid", 0.0, 1.0),
    "Hardsigmoid": ("sigmoid", 0.0, 1.0),
    "Tanh": ("tanh", -1.0, 1.0),
}
_RANGES |= {"Softmax": ("softmax", 0.0, 1.0)}

_TRIALS, _LARGE = (
    3,
    10.0,
)  # random weights of this deviation bring logits out of [0, 1] in one of three trials


def groups(subject: Subject, *names: str) -> list[list[LossCall]]:
    """The calls of these loss functions that get predictions, each together with the same call on the second batch.

    If the two steps differ in their calls, they are all in one group.
    """
    steps = [
        [call for call in traced.calls if call.name in names and call.input.requires_grad]
        for traced in subject.traces
    ]
    if len({tuple(call.name for call in calls) for calls in steps}) == 1:
        return [list(group) for group in zip(*steps, strict=True)]
    together = [call for calls in steps for call in calls]
    return [together] if len({call.name for call in together}) == 1 else []


def is_distribution(tensor: Tensor, axis: int) -> bool:
    """Whether its values along an axis are probabilities: not negative, and their sum is 1 within 1e-4."""
    values = tensor.detach().double()
    tolerance = 1e-4 if tensor.dtype in (torch.float32, torch.float64) else 1e-2
    return bool((values >= 0).all() and ((values.sum(axis) - 1).abs() < tolerance).all())


def origin(tensor: Tensor) -> str:
    """What computed it, such as "Softmax"; "" for a leaf."""
    return origin_of(tensor).partition("Backward")[0]


def bends(tensor: Tensor) -> str:
    """The nonlinearity that computed it, such as "relu", if it takes a half of all values away; else ""."""
    made_by = origin(tensor)
    if made_by in ("Hardtanh", "Clamp", "ClampMin"):
        name, low, high = output_range(tensor)
        return name if low >= 0 or high <= 1 else ""
    return _BENDS.get(made_by, "")


def output_range(tensor: Tensor) -> tuple[str, float, float]:
    """The nonlinearity that computed it, and between which values it must lie; "" if any value is possible."""
    made_by, node = origin(tensor), node_of(tensor)
    if made_by == "Hardtanh":
        low, high = float(node._saved_min_val), float(node._saved_max_val)
        return ("relu6" if low == 0 else "hardtanh"), low, high
    if made_by == "ClampMin" or (made_by == "Clamp" and node._saved_max is None):
        low = node._saved_min
        return ("relu", 0.0, _INF) if isinstance(low, int | float) and low == 0 else ("", -_INF, _INF)
    if made_by == "Softmax" and bool((tensor == 1).all()):
        return "softmax over a single output", 1.0, 1.0
    return _RANGES.get(made_by, ("", -_INF, _INF))


def stays_between_0_and_1(subject: Subject, calls: list[LossCall]) -> bool:
    """Whether the inputs of these calls lie in [0, 1], and would with any other weights, too.

    It finds sigmoids that are written by hand. Untrained logits may lie in [0, 1] by chance; with random weights of
    deviation 10 they do so with a probability of 6e-5 or less.
    """
    if not all(_between(call.input) and call.input.numel() > 1 for call in calls):
        return False
    copy = subject.copy()
    number = next(k for k, call in enumerate(subject.traced.calls) if call is calls[0])
    moved = False  # a constant says nothing of its range
    for _ in range(_TRIALS):
        with torch.no_grad():
            for parameter in copy.module.parameters():
                parameter.normal_(std=_LARGE)
            traced = copy.trace(subject.batch).calls
        if number >= len(traced) or not _between(traced[number].input):
            return False
        moved = moved or len(traced[number].input.unique()) > 1
    return moved


def _between(tensor: Tensor) -> bool:
    values = tensor.detach()
    return bool(((values >= 0) & (values <= 1)).all())
