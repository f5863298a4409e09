"""Which functions of torch a training step calls, and with what: softmax, products, arithmetic, views, layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

SOFTMAX = {"softmax", "log_softmax"}
PRODUCTS = {"matmul", "bmm", "mm", "__matmul__", "einsum"}
ARITHMETIC = {"add", "sub", "subtract", "rsub", "mul", "multiply", "div", "divide", "true_divide"}
ARITHMETIC |= {f"__{side}{name}__" for side in ("", "r") for name in ("add", "sub", "mul", "truediv")}
VIEWS = {"view", "reshape"}
LAYERS = {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
OF_INTEREST = SOFTMAX | PRODUCTS | ARITHMETIC | VIEWS | LAYERS | {"embedding"}


@dataclass
class FunctionCall:
    """One call of a function of torch.

    Args:
        name: of the function, such as "softmax"; a method has the name of its function.
        args, kwargs: what it was given.
        output: the tensor that it returned.
        given_node, node: of its first argument and of its output in the autograd graph, as they were at the call; a
            function that works in place, such as nn.ReLU(inplace=True), changes them afterwards.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    output: Tensor = field(default_factory=Tensor)
    given_node: Any = None
    node: Any = None

    def argument(self, position: int, *names: str) -> Any:
        """An argument by its position or one of its names; None without it."""
        if len(self.args) > position:
            return self.args[position]
        return next((self.kwargs[name] for name in names if name in self.kwargs), None)

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among its first two arguments; einsum has them after its equation."""
        operands = self.args[1:] if self.name == "einsum" else self.args[:2]
        return [each for each in operands if isinstance(each, Tensor)]


class FunctionRecorder(TorchFunctionMode):
    """Collects in `calls` each call of a function of interest within it, outermost functions only.

    Args:
        replace: may return another output for a call, given its name, arguments and the function; None leaves it.
    """

    def __init__(self, replace: Callable[[str, tuple[Any, ...], Any], Any] = lambda *call: None) -> None:
        super().__init__()
        self.calls: list[FunctionCall] = []
        self.replace = replace

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name not in OF_INTEREST:
            return func(*args, **(kwargs or {}))
        given_node = getattr(args[0], "grad_fn", None) if args else None
        output = self.replace(name, args, lambda *other: func(*other, **(kwargs or {})))
        if output is None:
            output = func(*args, **(kwargs or {}))
        if isinstance(output, Tensor):
            self.calls.append(FunctionCall(name, args, kwargs or {}, output, given_node, output.grad_fn))
        return output
