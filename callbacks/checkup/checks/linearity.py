"""Is there a nonlinearity between the layers?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError, Copy, DoesNotApplyError
from callbacks.checkup.functions import LAYERS, FunctionCall
from callbacks.checkup.subject import Subject, as_double, predict
from callbacks.diagnostics.loss_calls import skip_views
from callbacks.diagnostics.verdict import Verdict


def no_nonlinearity(subject: Subject) -> list[Verdict]:
    """Two linear or convolutional layers with only views, dropout or BatchNorm between them are one layer.

    Two layers that have fewer weights than that one layer are meant: bottlenecks, LoRA, separable convolutions. A middle
    that something else uses, too, is meant as well. An embedding straight before the last layer may be.
    """
    traced, calls = subject.functions
    layers = [_layer(call) for call in calls if call.name in LAYERS and call.output.requires_grad]
    if len(layers) < 2:
        raise DoesNotApplyError("the step calls fewer than two linear layers")
    pairs = _pairs(layers, _uses(traced.losses))
    if not pairs:
        return []
    names = _names(subject.exact)
    last = layers[-1]
    affine = len(layers) > 1 and _is_affine(subject)
    certain = affine or any(second is not last for _, second in pairs)
    some = " and ".join(
        f"{names(first)} ({first.size}) and {names(second)} ({second.size})" for first, second in pairs[:2]
    )
    text = f"nothing but views, dropout or BatchNorm stands between {some}, so together they do what one layer can"
    if affine:
        text += "; the whole network is a single linear function of its input"
    return [
        Verdict(
            "no nonlinearity",
            sorted({names(layer) for pair in pairs for layer in pair}),
            f"{text}.",
            "nn.ReLU() between them, or one layer instead of two",
            "warn" if certain else "info",
        )
    ]


@dataclass(eq=False)
class LinearLayer:
    """One call of a linear or convolutional layer."""

    weight: Tensor
    given_node: Any  # of its input in the autograd graph
    node: Any  # of its output
    inputs: int  # channels or features
    outputs: int
    kernel: tuple[int, ...]
    grouped: bool

    @property
    def size(self) -> str:
        """As in "784 to 100"."""
        return f"{self.inputs} to {self.outputs}"


def _layer(call: FunctionCall) -> LinearLayer:
    weight, node = call.argument(1, "weight"), skip_views(call.node)
    transposed, groups = "transpose" in call.name, getattr(node, "_saved_groups", 1)
    first, second, *kernel = weight.shape
    inputs, outputs = (first, second) if transposed else (second, first)
    return LinearLayer(weight, call.given_node, node, inputs, outputs, tuple(kernel), groups > 1)


def _uses(losses: list[Tensor]) -> Counter:
    """How often each node of the graph is used by others."""
    uses: Counter = Counter()
    waiting = [loss.grad_fn for loss in losses if loss.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        for following, _ in waiting.pop().next_functions:
            if following is None:
                continue
            uses[following] += 1
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return uses


def _pairs(layers: list[LinearLayer], uses: Counter) -> list[tuple[LinearLayer, LinearLayer]]:
    by_node = {layer.node: layer for layer in layers}
    pairs = [(by_node.get(_source(layer.given_node)), layer) for layer in layers]
    return [
        (first, second)
        for first, second in pairs
        if first is not None
        and not _saves_weights(first, second)
        and _is_sole_use(second.given_node, first.node, uses)
    ]


def _source(node: Any) -> Any:
    """The node of the graph that computed the values, before views and BatchNorm."""
    node = skip_views(node)
    while node is not None and "BatchNorm" in node.name():
        node = skip_views(node.next_functions[0][0])
    return node


def _is_sole_use(node: Any, first: Any, uses: Counter) -> bool:
    """Whether nothing else uses what lies between the first layer and this node."""
    while node is not None:
        if uses[node] != 1:
            return False
        if node is first:
            return True
        node = next((each for each, _ in node.next_functions if each is not None), None)
    return False


def _saves_weights(first: LinearLayer, second: LinearLayer) -> bool:
    """Whether the two have fewer weights than the one layer that could replace them, or are separable on purpose."""
    if first.grouped or second.grouped:
        return True
    kernels = [kernel for kernel in (first.kernel, second.kernel) if kernel]
    if any(len(set(kernel)) > 1 for kernel in kernels):  # such as 1 x 3 and 3 x 1
        return True
    wide = [kernel[0] for kernel in kernels if kernel[0] > 1]
    if len(wide) == 2:  # two square kernels: compare channels alone
        return first.outputs < min(first.inputs, second.outputs)
    joint = first.inputs * second.outputs * (wide[0] ** len(kernels[0]) if wide else 1)
    return first.weight.numel() + second.weight.numel() < joint


def _is_affine(subject: Subject) -> bool:
    """Whether the prediction for the mean of two inputs is the mean of the two predictions."""
    if not subject.inputs.is_floating_point():
        return False
    batch = as_double(subject.batch)
    inputs = subject.inputs.double()
    others = inputs.roll(1, 0)
    try:
        first, second, middle = (
            predict(subject.exact, subject.with_inputs(batch, each))
            for each in (inputs, others, (inputs + others) / 2)
        )
    except CannotCheckError:
        return False
    if first.shape != middle.shape or bool(((first - second).abs() < 1e-12).all()):
        return False
    scale = torch.stack([first, second]).abs().max()
    return bool(((first + second) / 2 - middle).abs().max() < 1e-10 * scale)


def _names(copy: Copy) -> Any:
    """A function from a layer to its module's name."""
    known = {id(parameter): name for name, parameter in copy.module.named_parameters()}
    return lambda layer: known.get(id(layer.weight), "a layer.weight").rpartition(".")[0] or "root"


CHECKS = (Check("a nonlinearity stands between the layers", no_nonlinearity),)
