"""Tallies: what the loss functions get, added up in a few numbers on the device.

They look only at the input and the target of a loss call, so they need not know the names of a model's metrics.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from callbacks.diagnostics.evidence import Evidence
from callbacks.diagnostics.loss_calls import BINARY_LOSSES, CLASS_LOSSES, LossCall
from callbacks.diagnostics.reduction import float64

MOST_CLASSES = 4096  # with more, the counts would no longer be small
MOST_VALUES = 2**21  # of one call; of more, every second, third, ... target is counted
MOST_OUTPUTS = 4096  # likewise of one row of numbers
VALUE_LOSSES = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "gaussian_nll_loss"}


class ClassTally:
    """Counts by class: targets, correct answers, sum and squares of the cross-entropy, predictions."""

    def __init__(self, weighted: bool) -> None:
        self.weighted, self.targets_per_row = weighted, 1.0
        self.name = ""  # of the loss function
        self.sums: Any = None  # Tensor (5, K); None before the first call
        self.soft: Any = None  # number of targets that are not one class
        self.each_row: list[Tensor] | None = None  # if wanted: (n, 2) loss and correct answers of each call
        self.by_row: Any = 0.0  # Tensor (6,), see `row_sums`; 0 if no row has several targets

    def add(self, call: LossCall) -> bool:
        """Add a call; returns whether it could be counted."""
        self.name = call.name
        found = _binary(call) if call.name in BINARY_LOSSES else _classes(call)
        if found is None:
            return False
        losses, target, predicted, valid, soft, num_classes = found
        hits, losses = (predicted == target).to(losses.dtype), losses * valid
        sums = losses.new_zeros(5, num_classes)
        sums.index_add_(1, target, torch.stack([valid, hits * valid, losses, losses**2, valid * 0]))
        sums[4].index_add_(0, predicted, valid)
        if self.sums is not None and self.sums.shape != sums.shape:
            return False
        self.sums = sums if self.sums is None else self.sums + sums
        self.soft = soft if self.soft is None else self.soft + soft
        if self.each_row is not None:
            self.each_row.append(torch.stack([losses, hits], 1))
        num_rows = max(len(call.target) if call.target.ndim else 1, 1)
        self.targets_per_row = target.numel() / num_rows
        if target.numel() > num_rows and target.numel() % num_rows == 0:
            self.by_row = self.by_row + row_sums(valid, hits * valid, losses, num_rows)
        return True

    def merge(self, other: ClassTally) -> None:
        """Add the rows of another tally of the same classes."""
        if self.sums is not None and other.sums is not None and self.sums.shape == other.sums.shape:
            self.sums, self.soft = self.sums + other.sums, self.soft + other.soft
            self.by_row = self.by_row + other.by_row

    def evidence(self) -> Evidence | str:
        """What the counts say, or why they say nothing."""
        if self.sums is None or self.soft is None:
            return "counted no row"
        if self.soft.item():
            return "compares with targets that are no single classes"
        counts, hits, sums, squares, predicted = self.sums.cpu()
        rows = counts.sum().item()
        if not rows:
            return "counted no row"
        shares = counts / rows
        constant = -shares.clamp_min(1e-300).log()  # the constant answer's loss on a target of each class
        majority, answer = shares.max(0)
        gain = (shares * constant).sum() - sums.sum() / rows
        spread = (squares - 2 * constant * sums + constant**2 * counts).sum() / rows - gain**2
        lead = hits.sum() / rows - majority
        changed = (hits.sum() - hits[answer]) + (counts[answer] - hits[answer])  # rows with another outcome
        chosen = predicted.nonzero().flatten().tolist()
        loss = float(sums.sum() / rows)
        found = Evidence(
            rows=int(rows),
            loss=loss,
            constant=float((shares * constant).sum()),
            gain_error=math.sqrt(max(float(spread), 0.0) / rows),
            accuracy=float(hits.sum() / rows),
            majority=float(majority),
            lead_error=math.sqrt(max(float(changed / rows - lead**2), 0.0) / rows),
            answer=int(answer),
            only=chosen[0] if len(chosen) == 1 else None,
            classes=int((counts > 0).sum()),
            targets_per_row=self.targets_per_row,
            shares=shares.tolist(),
            fair=not self.weighted,
            loss_error=standard_error(float(squares.sum()) / rows - loss**2, rows),
            loss_name=self.name,
        )
        if isinstance(self.by_row, Tensor):
            add_errors(found, self.by_row.tolist())
        return found


def row_sums(valid: Tensor, hits: Tensor, losses: Tensor, num_rows: int) -> Tensor:
    """What the errors of means over targets need if those of a row depend on each other, as neighboring pixels do.

    Args:
        valid, hits, losses: of each target, row by row; 0 where a target is ignored.
        num_rows: of the batch.

    Returns:
        (6,): rows with a target, and sums over rows of n n, n h, h h, n l, l l, where n are a row's targets, h its
        hits and l its loss.
    """
    n, h, loss = (each.reshape(num_rows, -1).sum(1) for each in (valid, hits, losses))
    return torch.stack(
        [(n > 0).sum(), *((a * b).sum() for a, b in ((n, n), (n, h), (h, h), (n, loss), (loss, loss)))]
    )


def add_errors(found: Evidence, sums: list[float]) -> None:
    """Standard errors of accuracy and loss, with the row as the unit: those of a ratio of two sums over rows.

    W. G. Cochran, Sampling Techniques (1977), section 2.11.

    Args:
        found: gets `clusters`, `accuracy_error` and `loss_error`.
        sums: of `row_sums`.
    """
    rows, nn, nh, hh, nl, ll = sums
    found.clusters = int(rows)
    if rows < 2 or found.accuracy is None:
        found.loss_error = math.nan
        return
    factor = math.sqrt(rows / (rows - 1)) / found.rows
    for name, mean, mixed, square in (
        ("accuracy_error", found.accuracy, nh, hh),
        ("loss_error", found.loss, nl, ll),
    ):
        setattr(found, name, factor * math.sqrt(max(square - 2 * mean * mixed + mean**2 * nn, 0.0)))


def _classes(call: LossCall) -> tuple[Any, ...] | None:
    """For each target: its cross-entropy, class, predicted class, 1 if it counts; then soft targets and K."""
    scores, target = call.input.detach(), call.target.detach()
    if scores.ndim < 2 or scores.shape[1] > MOST_CLASSES or scores.shape[1] < 2:
        return None
    num_rows, num_classes = scores.shape[:2]
    soft = target.new_zeros(())
    if target.shape == scores.shape and target.is_floating_point():
        soft = ((target != 0) & (target != 1)).sum()
        target = target.argmax(1)
    elif target.is_floating_point():
        return None
    scores, target = scores.reshape(num_rows, num_classes, -1), target.reshape(num_rows, -1)
    stride = math.ceil(scores.numel() / MOST_VALUES)
    scores, target = scores[..., ::stride], target[:, ::stride]
    scores = scores.movedim(1, -1).reshape(-1, num_classes).to(float64(scores.device))
    target = target.reshape(-1).long()
    valid = ((target >= 0) & (target < num_classes)).to(scores.dtype)
    if (ignored := call.options.get("ignore_index")) is not None:
        valid = valid * (target != ignored)
    target = target.clamp(0, num_classes - 1)
    log_p = scores if call.name == "nll_loss" else scores.log_softmax(-1)
    losses = -log_p.gather(1, target[:, None])[:, 0]
    return losses, target, scores.argmax(-1), valid, soft, num_classes


def _binary(call: LossCall) -> tuple[Any, ...] | None:
    """The same for targets of 0 and 1."""
    if call.input.shape != call.target.shape:
        return None
    wide = float64(call.input.device)
    stride = max(math.ceil(call.input.numel() / MOST_VALUES), 1)
    scores, truth = (each.detach().reshape(-1)[::stride].to(wide) for each in (call.input, call.target))
    target, soft = (truth > 0.5).long(), ((truth != 0) & (truth != 1)).sum()
    if call.name == "binary_cross_entropy":
        # by hand, because torch forbids its own function under autocast
        losses = -torch.where(target == 1, scores, 1 - scores).clamp(0, 1).log().clamp_min(-100)
        predicted = (scores > 0.5).long()
    else:
        losses = F.binary_cross_entropy_with_logits(scores, target.to(wide), reduction="none")
        predicted = (scores > 0).long()
    return losses, target, predicted, torch.ones_like(losses), soft, 2


class ValueTally:
    """Sums of the errors of numbers, and of those of their mean, separately for each output.

    The mean is known only in the end. So the rows are compared with `center`, a mean that was known before (of the first
    batch, or of an earlier measurement), and the sums are corrected afterwards.
    """

    def __init__(self, absolute: bool, center: Tensor | None, weighted: bool = False) -> None:
        self.absolute, self.center, self.weighted = absolute, center, weighted
        self.name = ""  # of the loss function
        self.rows = 0
        # Tensor (5,): errors of the answers, of the center, difference, squares of the difference and of the errors
        self.sums: Any = None
        self.total: Any = None  # sum of the targets, of each output
        self.each_row: list[Tensor] | None = None  # if wanted: (n, 1) error of each row, for each call

    def add(self, call: LossCall) -> bool:
        if call.input.shape != call.target.shape or call.target.ndim == 0:
            return False
        target = call.target.detach()
        if target.ndim > 2 and len(target) < 32:
            return False  # the mean of a few series or images is hardly a constant answer
        wide = float64(target.device)
        stride = max(math.ceil(target[0].numel() / MOST_OUTPUTS), 1) if len(target) else 1
        target, answer = (
            each.detach().reshape(len(target), -1)[:, ::stride].to(wide) for each in (target, call.input)
        )
        if self.center is None:
            self.center = target.mean(0)
        if self.center.shape != target.shape[1:]:
            return False
        own, rival = (self._error(target - each).mean(1) for each in (answer, self.center))
        difference = rival - own
        self.name = call.name
        squares = (difference**2).sum(), (own**2).sum()
        sums = torch.stack([own.sum(), rival.sum(), difference.sum(), *squares])
        self.sums = sums if self.sums is None else self.sums + sums
        self.total = target.sum(0) if self.total is None else self.total + target.sum(0)
        self.rows += len(target)
        if self.each_row is not None:
            self.each_row.append(own[:, None])
        return True

    def _error(self, difference: Tensor) -> Tensor:
        return difference.abs() if self.absolute else difference**2

    def merge(self, other: ValueTally) -> None:
        """Add the rows of another tally with the same center."""
        if self.sums is not None and other.sums is not None and self.total.shape == other.total.shape:
            self.sums, self.total = self.sums + other.sums, self.total + other.total
            self.rows += other.rows

    @property
    def mean(self) -> Tensor | None:
        """The targets' mean, for each output."""
        return None if self.total is None else self.total / self.rows

    def evidence(self) -> Evidence | str:
        mean = self.mean
        if self.sums is None or mean is None or self.center is None or self.rows < 2:
            return "counted no row"
        shift = 0.0 if self.absolute else ((mean - self.center) ** 2).mean().item()
        own, rival, difference, squares, own_squares = (self.sums / self.rows).tolist()
        spread = max(squares - difference**2, 0.0)
        # unbiased: the mean of the rows themselves is closer to them than that of new rows would be
        constant = (rival - shift) * (1.0 if self.absolute else self.rows / (self.rows - 1))
        found = Evidence(self.rows, own, constant, math.sqrt(spread / self.rows), loss_name=self.name)
        found.fair = not self.weighted
        found.loss_error = standard_error(own_squares - own**2, self.rows)
        return found


def standard_error(variance: float, rows: float) -> float:
    """Of a mean over rows, from the variance over the rows counted (not divided by rows - 1); NaN for one row."""
    return math.sqrt(max(variance, 0.0) / (rows - 1)) if rows > 1 else math.nan


Tally = ClassTally | ValueTally


def new_tally(call: LossCall, center: Tensor | None) -> Tally | str:
    """The tally for calls like this one, or why there is none.

    Args:
        call: the first of them.
        center: a known mean of the targets, if they are numbers.
    """
    each_row = call.options.get("reduction") == "none"  # the step itself weighs the rows
    if call.name in CLASS_LOSSES | BINARY_LOSSES:
        weights = (call.options.get(name) for name in ("weight", "pos_weight"))
        return ClassTally(weighted=each_row or any(each is not None for each in weights))
    if call.name not in VALUE_LOSSES or call.options.get("weight") is not None:
        return f"{call.name} has no constant answer to compare with"
    if center is not None and center.device != call.target.device:
        center = None
    return ValueTally(call.name == "l1_loss", center, weighted=each_row)


def evidence_of(tallies: list[Tally]) -> Evidence | str:
    """What several tallies of the same loss say together."""
    total: Any = copy.copy(tallies[0])
    for tally in tallies[1:]:
        total.merge(tally)
    return total.evidence()
