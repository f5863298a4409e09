"""Which loss functions of torch a training step calls, and with what: seen as they are called, whoever calls them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

# By the name of the function in torch.nn.functional; nn.CrossEntropyLoss and its kind call these.
CLASS_LOSSES = {"cross_entropy", "nll_loss", "nll_loss_nd"}
BINARY_LOSSES = {"binary_cross_entropy", "binary_cross_entropy_with_logits"}
REGRESSION_LOSSES = {
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "gaussian_nll_loss",
    "poisson_nll_loss",
}
OTHER_LOSSES = {
    "kl_div",
    "multi_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "hinge_embedding_loss",
}
OTHER_LOSSES |= {"cosine_embedding_loss", "margin_ranking_loss", "triplet_margin_loss", "ctc_loss"}
LOSSES = CLASS_LOSSES | BINARY_LOSSES | REGRESSION_LOSSES | OTHER_LOSSES

# Autograd nodes that only reorder, select, copy or scale values.
_VIEWS = "View Reshape Squeeze Unsqueeze Permute Transpose TBackward Flatten Expand Slice Select Narrow Split Chunk"
_SAME_VALUES = [*_VIEWS.split(), "AsStrided", "Clone", "Alias", "ToCopy"]


@dataclass
class LossCall:
    """One call of a loss function.

    Args:
        name: of the function in `torch.nn.functional`, such as "cross_entropy".
        input, target: its first two arguments; the input still has its graph.
        options: the other arguments by name, such as `weight`, `ignore_index` or `reduction`.
        value: what it returned.
    """

    name: str
    input: Tensor
    target: Tensor
    options: dict[str, Any] = field(default_factory=dict)
    value: Any = None


class LossRecorder(TorchFunctionMode):
    """Collects in `calls` each call of a loss function within it, outermost functions only."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[LossCall] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if (call := loss_call(func, args, kwargs or {}, output)) is not None:
            self.calls.append(call)
        return output


# The order of the arguments that may be given by position.
_POSITIONS = {
    "cross_entropy": ("weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing"),
    "nll_loss": ("weight", "size_average", "ignore_index", "reduce", "reduction"),
    "binary_cross_entropy": ("weight", "size_average", "reduce", "reduction"),
    "binary_cross_entropy_with_logits": ("weight", "size_average", "reduce", "reduction", "pos_weight"),
}


def loss_call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> LossCall | None:
    """The call as a `LossCall`, if it is one of a loss function on two tensors."""
    name = getattr(func, "__name__", "")
    if name not in LOSSES:
        return None
    given = dict(zip(("input", "target", *_POSITIONS.get(name, ())), args, strict=False)) | kwargs
    first, target = given.pop("input", None), given.pop("target", None)
    if not isinstance(first, Tensor) or not isinstance(target, Tensor):
        return None
    return LossCall("nll_loss" if name == "nll_loss_nd" else name, first, target, given, output)


def origin_of(tensor: Tensor, ignored: Callable[[str], bool] = lambda name: False) -> str:
    """The name of the autograd node that computed the values of `tensor`, such as "SoftmaxBackward0"; "" for a leaf.

    Nodes that only reorder, select or copy are skipped, and those for which `ignored(name)` holds.
    """
    node = node_of(tensor, ignored)
    return "" if node is None else node.name()


def node_of(tensor: Tensor, ignored: Callable[[str], bool] = lambda name: False) -> Any:
    """The autograd node that computed the values of `tensor`; see `origin_of`."""
    return skip_views(tensor.grad_fn, ignored)


def skip_views(node: Any, ignored: Callable[[str], bool] = lambda name: False) -> Any:
    """Follow nodes with one differentiable input that leave the values as they are."""
    while node is not None:
        name = node.name()
        inputs = [each for each, _ in node.next_functions if each is not None]
        if len(inputs) != 1 or not (any(part in name for part in _SAME_VALUES) or ignored(name)):
            return node
        node = inputs[0]
    return None
