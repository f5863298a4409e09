"""Sequences of tokens: the ids that a network embeds, next to the targets of its loss, position by position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from callbacks.checkup.copying import CannotCheckError, DoesNotApplyError, Traced
from callbacks.checkup.functions import FunctionCall, FunctionRecorder
from callbacks.checkup.subject import Subject, as_double
from callbacks.diagnostics.loss_calls import LossCall

_AGREE = 0.99  # share of positions at which the target is the token at that distance
_FEWEST = 20  # positions, below which agreement may be chance


@dataclass
class Tokens:
    """A sequence of ids and the targets for its positions.

    Args:
        ids: (N, T), or (T, N) with time first.
        targets: of the same shape, or one shorter in time; -1 where the loss ignores them.
        axis: of time.
        number: of the loss call among those of the step.
    """

    ids: Tensor
    targets: Tensor
    axis: int
    number: int

    def agreement(self, lag: int) -> float:
        """Share of positions t whose target is the token at t + `lag`; 0 if that could be chance."""
        ids, targets = self.ids.movedim(self.axis, 0), self.targets.movedim(self.axis, 0)
        length = min(len(targets), len(ids) - lag)
        ids, targets = ids[lag : lag + length], targets[:length]
        counted = targets >= 0
        if length < 2 or counted.sum() < _FEWEST or self.is_monotonous:
            return 0.0
        return (ids == targets)[counted].double().mean().item()

    @property
    def is_monotonous(self) -> bool:
        """Whether neighbours in time or in the batch are mostly the same token."""
        steps = [self.ids.diff(dim=axis) for axis in (0, 1) if self.ids.shape[axis] > 1]
        return any((step != 0).double().mean() < 0.1 for step in steps)

    @property
    def lag(self) -> int | None:
        """How far ahead the targets lie: 0, 1 or 2 tokens; None if they are something else."""
        return next((lag for lag in (1, 0, 2) if self.agreement(lag) >= _AGREE), None)


def all_tokens(subject: Subject) -> list[Tokens]:
    """Every pair of embedded ids and targets that fit each other, in a step on the first batch.

    Raises:
        CannotCheckError: if there is none.
    """
    traced, calls = subject.functions
    found = []
    for ids in _embedded(calls):
        for number, call in enumerate(traced.calls):
            if call.name in ("cross_entropy", "nll_loss") and call.input.requires_grad:
                found += _fitted(ids, call, number)
    if not found:
        raise DoesNotApplyError("no targets for the positions of a sequence of embedded tokens")
    return found


def _embedded(calls: list[FunctionCall]) -> list[Tensor]:
    ids = [call.argument(0, "input") for call in calls if call.name == "embedding"]
    return [each for each in ids if each.ndim == 2 and min(each.shape) >= 1 and each.numel() >= _FEWEST]


def _fitted(ids: Tensor, call: LossCall, number: int) -> list[Tokens]:
    target = call.target.detach()
    if target.is_floating_point():
        return []
    target = torch.where(target == call.options.get("ignore_index", -100), -1, target)
    found = []
    for axis in (1, 0):
        for missing in (0, 1):
            shape = list(ids.shape)
            shape[axis] -= missing
            if shape[axis] > 1 and target.numel() == shape[0] * shape[1]:
                found.append(Tokens(ids, target.reshape(shape), axis, number))
    return found


def future_influence(subject: Subject, tokens: Tokens) -> float:
    """How far predictions for the first half of the positions move if only later tokens change.

    Returns:
        The largest change, relative to the largest prediction; 0 for a causal network.

    Raises:
        CannotCheckError: if no prediction moves at all.
    """
    half = tokens.ids.shape[tokens.axis] // 2
    position = torch.arange(tokens.ids.shape[tokens.axis], device=tokens.ids.device)
    later = (position > half).reshape((-1, 1) if tokens.axis == 0 else (1, -1))
    generator = torch.Generator().manual_seed(0)
    mixed = tokens.ids.flatten()[torch.randperm(tokens.ids.numel(), generator=generator)].reshape(
        tokens.ids.shape
    )
    changed = torch.where(later, mixed, tokens.ids)

    def replace(name: str, args: tuple[Any, ...], function: Any) -> Any:
        same = (
            name == "embedding"
            and args
            and args[0].shape == tokens.ids.shape
            and bool((args[0] == tokens.ids).all())
        )
        return function(changed, *args[1:]) if same else None

    with torch.no_grad():
        before = _predictions(subject.exact.trace(as_double(subject.batch)), tokens)
        with FunctionRecorder(replace):
            after = _predictions(subject.exact.trace(as_double(subject.batch)), tokens)
    moved = (after - before).abs().amax(-1).movedim(tokens.axis, 0)
    if not bool(moved.any()):
        raise CannotCheckError("the predictions do not depend on the tokens yet")
    counted = tokens.targets.movedim(tokens.axis, 0)[: half + 1] >= 0
    earlier = moved[: half + 1][counted]
    return (earlier.max() / before.abs().max().clamp_min(1e-30)).item() if len(earlier) else 0.0


def _predictions(traced: Traced, tokens: Tokens) -> Tensor:
    """In the shape of the targets, with the classes on a last axis."""
    values = traced.calls[tokens.number].input.detach()
    values = values.movedim(1, -1) if values.ndim > 2 else values
    return values.reshape(*tokens.targets.shape, -1)
