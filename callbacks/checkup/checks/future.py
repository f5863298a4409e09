"""Does a network that predicts the next step of a sequence see it?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from callbacks.checkup.batches import leaves, with_leaf
from callbacks.checkup.check import Check
from callbacks.checkup.checks.tokens import all_tokens, future_influence
from callbacks.checkup.copying import CannotCheckError, DoesNotApplyError
from callbacks.checkup.subject import Subject, as_double
from callbacks.diagnostics.verdict import Verdict

_ROUNDING = 1e-9  # relative, in float64


def sees_the_future(subject: Subject) -> list[Verdict]:
    """Where targets are the inputs of the next position, a prediction may only depend on positions up to its own."""
    try:
        found = [tokens for tokens in all_tokens(subject) if tokens.lag == 1]
        what = "token"
        influence = max((future_influence(subject, tokens) for tokens in found), default=None)
    except CannotCheckError:
        influence = None
    if influence is None:
        series, what = _series(subject), "value"
        influence = _influence(subject, series)
    if influence <= _ROUNDING:
        return []
    return [
        Verdict(
            "sees the future",
            [],
            f"the targets are the inputs one position later, and the network sees them: exchanging later inputs changes "
            f"predictions for earlier positions by up to {influence:.1e} of the largest, so it can copy the next {what}.",
            "a causal mask (is_causal=True), one direction in recurrent layers, padding on the left only in "
            "convolutions",
            "fail",
        )
    ]


@dataclass
class Series:
    """A tensor of the batch whose next positions are the targets.

    Args:
        number: of the tensor in the batch: (N, T, ...).
        positions: of the targets: L.
        call: number of the loss call among those of the step.
    """

    number: int
    positions: int
    call: int


def _series(subject: Subject) -> Series:
    """The numbers of a series whose targets lie one step ahead.

    Raises:
        CannotCheckError: if there are none.
    """
    for call_number, call in enumerate(subject.traced.calls):
        target = call.target.detach()
        for number, each in enumerate(leaves(subject.batch)):
            if not each.is_floating_point() or each.ndim < 2 or target.ndim < 2 or len(each) != len(target):
                continue
            length = min(target.shape[1], each.shape[1] - 1)
            if length >= 4 and _is_next(each, target, length):
                return Series(number, target.shape[1], call_number)
    raise DoesNotApplyError("the targets are not the inputs of the next position")


def _is_next(series: Tensor, target: Tensor, length: int) -> bool:
    """Whether target[:, t] = series[:, t + 1] at all positions, in a series that changes."""
    now, then, wanted = (
        each.reshape(len(series), length, -1)
        for each in (series[:, :length], series[:, 1 : length + 1], target[:, :length])
    )
    return (
        then.shape == wanted.shape
        and torch.equal(then, wanted.to(then))
        and bool((now != then).double().mean() > 0.5)
    )


def _influence(subject: Subject, series: Series) -> float:
    """How far earlier predictions move, relative to the largest, if later values are exchanged."""
    batch = as_double(subject.batch)
    values = leaves(batch)[series.number]
    half = series.positions // 2
    changed = values.clone()
    changed[:, half + 1 :] = values[:, half + 1 :].flip(0, 1) + values.std()
    with torch.no_grad():
        before, after = (
            subject.exact.trace(each).calls[series.call].input.detach()
            for each in (batch, with_leaf(batch, series.number, changed))
        )
    if before.shape[:2] != (len(values), series.positions):
        raise CannotCheckError("the predictions are not one for each position")
    moved = (after - before).abs().reshape(len(values), series.positions, -1).amax((0, 2))
    if not bool(moved.any()):
        raise CannotCheckError("the predictions do not depend on the series yet")
    return (moved[: half + 1].max() / before.abs().max().clamp_min(1e-30)).item()


CHECKS = (Check("a prediction of the next position does not see it", sees_the_future),)
