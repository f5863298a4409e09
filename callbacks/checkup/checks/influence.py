"""Which parts of the inputs can influence what is predicted or learned?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from callbacks.checkup.batches import leaves, with_leaf
from callbacks.checkup.check import Check
from callbacks.checkup.checks.independence import number_of_samples
from callbacks.checkup.copying import CannotCheckError, Traced
from callbacks.checkup.subject import Subject, as_double, rows_of, trace_without_graph
from callbacks.diagnostics.verdict import Verdict

KIND = "inputs that cannot matter"
_MOST = 8  # samples of a batch suffice
_ROUNDING = 1e-12  # relative, in float64


def inputs_matter(subject: Subject) -> list[Verdict]:
    """Each feature or channel of the input must influence the prediction or the loss.

    Candidates have a gradient of exactly 0 at all samples of two batches. Then their values are exchanged among the
    samples: a feature that is used as an index, or that the loss compares with, has no gradient but matters. Pixels and
    single steps of a sequence may lie outside of what a network sees; only whole channels and features are reported.
    """
    number_of_samples(subject)
    number = subject.input_number
    if not leaves(subject.batch)[number].is_floating_point():
        raise CannotCheckError("the inputs are not real numbers, so they have no gradient")
    batches = [as_double(rows_of(batch, slice(0, _MOST))) for batch in subject.batches[:2]]
    silent = _without_gradient(subject, batches, number)
    if not silent:
        return []
    reference = [_numbers(subject, batch) for batch in batches]
    kept = [place for place in silent if not _matters(subject, batches, number, place, reference)]
    if not kept:
        return []
    shape = tuple(leaves(subject.batch)[number].shape)
    if kept == [None]:
        _refuse_dead_networks(subject, batches[0], number)
        return [_nothing_matters(subject, shape)]
    axis = kept[0][0] if kept[0] is not None else 1
    places = [place[1] for place in kept if place is not None]
    what = "feature" if axis == len(shape) - 1 else "channel"
    return [
        Verdict(
            KIND,
            [],
            f"{len(places)} of {shape[axis]} {what}s of the input {shape} influence neither prediction nor loss: "
            f"{_some(places)}. Their gradient is 0 on two batches, and exchanging their values has no effect.",
            f"to feed all {shape[axis]} {what}s to the first layer, or to leave these out of the data",
            "warn",
        )
    ]


Place = tuple[int, int] | None  # axis and index; None for the whole tensor


def _without_gradient(subject: Subject, batches: list[Any], number: int) -> list[Place]:
    """Where the prediction has a gradient of exactly 0 at all samples: channels or features, or everything."""
    total = torch.zeros(())
    for batch in batches:
        inputs = leaves(batch)[number].clone().requires_grad_()
        traced = subject.exact.trace(with_leaf(batch, number, inputs))
        gradient = _gradient(traced, inputs).abs().sum(0)
        if total.ndim and total.shape != gradient.shape:
            raise CannotCheckError("the inputs of two batches differ in shape")
        total = total + gradient
        silent = _silent_places(total)
        if not silent:
            return []
    return silent


def _silent_places(total: Tensor) -> list[Place]:
    """Features of (F,) or (T, F), channels of (C, H, W) that are 0 everywhere; [None] if everything is."""
    if not bool(total.any()):
        return [None]
    found: list[Place] = []
    for axis in {1: [0], 2: [1], 3: [0]}.get(total.ndim, []):
        others = [each for each in range(total.ndim) if each != axis]
        sums = total.sum(others) if others else total
        found += [(axis + 1, int(k)) for k in (sums == 0).nonzero().flatten()]
    return found


def _gradient(traced: Traced, inputs: Tensor) -> Tensor:
    """Of a random combination of all predictions; exact zeros stay zeros."""
    prediction = traced.prediction
    if not prediction.requires_grad:
        return torch.zeros_like(inputs)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(prediction.shape, generator=generator).to(prediction)
    (gradient,) = torch.autograd.grad(
        (prediction * weights).sum(), inputs, allow_unused=True, materialize_grads=True
    )
    return gradient.nan_to_num(1.0)


def _numbers(subject: Subject, batch: Any) -> list[Tensor]:
    """What a step predicts, and its losses."""
    traced = trace_without_graph(subject.exact, batch)
    return [traced.prediction, *traced.losses, *(call.input for call in traced.calls)]


def _matters(
    subject: Subject, batches: list[Any], number: int, place: Place, reference: list[list[Tensor]]
) -> bool:
    """Whether exchanging these values among the samples changes a prediction or a loss, in one of the batches.

    Values that are the same for all samples cannot show it, and count as if they did.
    """
    varied = False
    for batch, before in zip(batches, reference, strict=True):
        values = leaves(batch)[number]
        changed = values.clone()
        where = (slice(None),) if place is None else (slice(None),) * place[0] + (place[1],)
        changed[where] = values[where].roll(1, 0)
        varied = varied or bool((changed != values).any())
        after = _numbers(subject, with_leaf(batch, number, changed))
        if len(after) != len(before) or any(_differ(a, b) for a, b in zip(before, after, strict=True)):
            return True
    return not varied


def _refuse_dead_networks(subject: Subject, batch: Any, number: int) -> None:
    """With other weights, the input may matter: then the initialization is to blame, not the wiring."""
    copy = subject.copy(double=True, train=False)
    values = leaves(batch)[number]
    with torch.no_grad():
        for parameter in copy.module.parameters():
            parameter.normal_()
        first = copy.trace(batch).prediction
        second = copy.trace(with_leaf(batch, number, values.roll(1, 0))).prediction
    if _differ(first, second):
        raise CannotCheckError("with these weights no input matters, with others it does: all units are dead")


def _differ(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape:
        return True
    first, second = first.detach().double(), second.detach().double()
    return not bool(((first - second).abs() <= _ROUNDING * first.abs().max()).all())


def _nothing_matters(subject: Subject, shape: tuple[int, ...]) -> Verdict:
    """The tensor that looks like the input has no influence at all; the network may use another one."""
    others = sum(each.ndim > 0 for each in leaves(subject.batch)) > 2
    return Verdict(
        KIND,
        [],
        f"the input of shape {shape} influences neither prediction nor loss: exchanged among the samples, it changes "
        "nothing, whatever the weights are.",
        "a look at what training_step hands to the network: an input that is overwritten, or multiplied by 0",
        "info" if others else "fail",
    )


def _some(numbers: list[int]) -> str:
    listed = ", ".join(map(str, numbers[:6]))
    return listed + (f" and {len(numbers) - 6} more" if len(numbers) > 6 else "")


CHECKS = (Check("every feature or channel of the input can matter", inputs_matter),)
