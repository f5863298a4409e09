"""What runs inside a training or validation step: calls of modules, dropout, and how many values BatchNorm averages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# All have (input, p=0.5, training=True); attention has dropout_p=0.0 and no switch.
_DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"}
_ATTENTION = "scaled_dot_product_attention"


@dataclass(frozen=True)
class Dropped:
    """One call of dropout that dropped something.

    Args:
        function: its name in torch.nn.functional.
        p: the probability with which a value is dropped.
        layer: the module that owns the call, or "" if a function was called directly.
        of_input: whether it drops values that no trainable parameter has touched, such as the data themselves.
    """

    function: str
    p: float
    layer: str
    of_input: bool


class Watch(TorchFunctionMode):
    """Within it, notes what a module's parts do.

    Args:
        module: the root of the parts that are watched.

    `called` has the parts that were called, in the order of their first call; `without_gradient` those of them that only
    ran where gradients are switched off; `dropped` the calls of dropout; `values_per_channel` the fewest values that
    each BatchNorm in train mode averaged.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.called: dict[str, bool] = {}  # whether gradients were on in some call
        self.dropped: list[Dropped] = []
        self.values_per_channel: dict[str, int] = {}
        self._inside: list[str] = []  # the dropout modules that are running
        self._handles: list[Any] = []

    @property
    def without_gradient(self) -> set[str]:
        """Parts that only ran under no_grad."""
        return {name for name, with_gradient in self.called.items() if not with_gradient}

    def __enter__(self) -> Watch:
        for name, part in self.module.named_modules():
            self._handles.append(part.register_forward_pre_hook(self._enter(name)))
            if isinstance(part, nn.modules.dropout._DropoutNd):
                self._handles.append(part.register_forward_hook(lambda *call: self._inside.pop() and None))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for handle in self._handles:
            handle.remove()
        self._handles, self._inside = [], []

    def _enter(self, name: str) -> Any:
        def note(part: nn.Module, inputs: Any) -> None:
            self.called[name] = self.called.get(name, False) or torch.is_grad_enabled()
            if isinstance(part, nn.modules.dropout._DropoutNd):
                self._inside.append(name)
            if (
                isinstance(part, nn.modules.batchnorm._BatchNorm)
                and part.training
                and inputs
                and isinstance(inputs[0], Tensor)
            ):
                values = inputs[0].numel() // max(1, inputs[0].shape[1])
                self.values_per_channel[name] = min(values, self.values_per_channel.get(name, values))

        return note

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        p = _probability(getattr(func, "__name__", "").rstrip("_"), args, kwargs)
        if p > 0:
            first = args[0] if args else kwargs.get("input", kwargs.get("query"))
            layer = self._inside[-1] if self._inside else ""
            of_input = isinstance(first, Tensor) and not first.requires_grad
            self.dropped.append(Dropped(func.__name__, p, layer, of_input))
        return func(*args, **kwargs)


def _probability(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """With which probability this call drops values; 0 if it is no dropout, or switched off."""
    if name == _ATTENTION:
        return float(kwargs.get("dropout_p", args[4] if len(args) > 4 else 0))
    if name not in _DROPOUTS:
        return 0.0
    p = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    on = kwargs.get("training", kwargs.get("train", args[2] if len(args) > 2 else True))
    return float(p) if on else 0.0
