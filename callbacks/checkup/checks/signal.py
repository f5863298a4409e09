"""Does the network begin with outputs of a sensible size?"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.loss_calls import LossCall
from callbacks.diagnostics.probe import Layer, find_layers, forward_hooks, tensors_in
from callbacks.diagnostics.verdict import Verdict

_RAW = 10.0  # rms of inputs above which they explain large outputs by themselves
_GROWTH = 100.0  # from the first layer to the last
_WRONG = 12.0  # times what a guess costs: He initialization 8 layers deep reaches 2.4, confident wrong answers about 8


def signal_at_the_start(subject: Subject) -> list[Verdict]:
    """An untrained network should guess: cross-entropy near ln K, squared errors near the targets' mean square."""
    for call in subject.traced.calls:
        if call.input.requires_grad and (found := _excess(call)) is not None:
            loss, guess, expected = found
            return [] if loss <= 2 * guess else _explained(subject, call, loss, guess, expected)
    outputs = subject.traced.prediction.detach()
    if not outputs.is_floating_point():
        raise CannotCheckError("the module returns no numbers")
    return _grown(subject, _rms(outputs), "") if _rms(outputs) > 1000 else []


def _excess(call: LossCall) -> tuple[float, float, str] | None:
    """The loss, what a guess may cost, and how that was reckoned; None for losses without such a measure.

    Class weights and reductions are left out. A squared error only counts if the outputs themselves are large.
    """
    values, target = call.input.detach().double(), call.target
    if call.name == "cross_entropy" and values.ndim > 1 and values.shape[1] > 1:
        wanted = target.double() if target.is_floating_point() else target
        loss = F.cross_entropy(values, wanted, ignore_index=call.options.get("ignore_index", -100)).item()
        classes = values.shape[1]
        return loss, math.log(classes) + 0.5, f"ln {classes} = {math.log(classes):.3g}"
    if call.name == "binary_cross_entropy_with_logits":
        loss = F.binary_cross_entropy_with_logits(values, target.double()).item()
        return loss, math.log(2) + 0.5, f"ln 2 = {math.log(2):.3g}"
    if call.name == "mse_loss" and values.shape == target.shape:
        size = target.detach().double().square().mean().item()
        loss = (values - target.detach().double()).square().mean().item()
        expected = f"{size:.3g}, the mean square of the targets"
        return (loss if _rms(values) > 10 else 0.0), 50 * size, expected
    return None


def _explained(subject: Subject, call: LossCall, loss: float, guess: float, expected: str) -> list[Verdict]:
    """A verdict on a loss that is too high: the signal grew on its way, or the last layer begins too large."""
    _refuse_raw_inputs(subject)
    text = f"{call.name} begins at {loss:.3g}, a guess costs about {expected}"
    grown = _grown(subject, _rms(call.input.detach()), text)
    if grown:
        return grown
    return [
        Verdict(
            "initial loss too high",
            [],
            f"{text}: the first outputs are large (rms {_rms(call.input.detach()):.3g}), so the first steps only "
            "make them smaller.",
            "a smaller initialization of the last layer, such as nn.init.zeros_(head.weight)",
            "warn" if loss > _WRONG * guess else "info",
        )
    ]


def _grown(subject: Subject, output: float, text: str) -> list[Verdict]:
    """A verdict if outputs grow a hundredfold from the first layer to the last."""
    _refuse_raw_inputs(subject)
    sizes = _sizes(subject)
    if len(sizes) < 3:
        return []
    first = sizes[0][1]
    if not (output > 100 and output > _GROWTH * max(first, 0.1)):
        return []
    large = [layer.name for layer, size in sizes if size > 10 * max(first, 0.1)]
    text = f"{text}; " if text else ""
    return [
        Verdict(
            "signal grows from layer to layer",
            large,
            f"{text}the outputs grow from rms {first:.3g} in the first layer ({sizes[0][0].name}) to {output:.3g} at the "
            f"end, over {len(sizes)} layers.",
            "He initialization (nn.init.kaiming_normal_) for relu, Xavier for tanh, or normalization layers",
            "warn",
        )
    ]


def _refuse_raw_inputs(subject: Subject) -> None:
    inputs = subject.inputs
    if inputs.is_floating_point() and _rms(inputs.detach()) > _RAW:
        raise CannotCheckError(
            f"inputs of rms {_rms(inputs.detach()):.3g} make the first outputs large by themselves"
        )


def _sizes(subject: Subject) -> list[tuple[Layer, float]]:
    """The rms of each layer's output in the first training step, in the order of the calls."""
    owners = {module: layer for layer in find_layers(subject.still.module) for module in layer.modules}
    sizes: dict[Layer, float] = {}

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        made = next(tensors_in(output), None)
        if made is not None and made.numel():
            sizes.setdefault(owners[module], _rms(made.detach()))

    with torch.no_grad(), forward_hooks(owners, note):
        subject.still.trace(subject.batch)
    return list(sizes.items())


def _rms(tensor: Tensor) -> float:
    return tensor.double().square().mean().sqrt().item()


CHECKS = (Check("the network begins with outputs of a sensible size", signal_at_the_start),)
