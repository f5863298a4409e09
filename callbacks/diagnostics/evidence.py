"""Evidence: how well the network answers, next to the best constant answer on the same rows.

A tally adds up a few numbers for every loss call, on the device. `Evidence` is what they say in the end. Both look only
at the input and the target of the loss function, so they need not know the names of a model's metrics.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from callbacks.diagnostics.loss_calls import BINARY_LOSSES, CLASS_LOSSES, LossCall
from callbacks.diagnostics.reduction import float64

MOST_CLASSES = 4096  # with more, the counts would no longer be small
MOST_VALUES = 2**21  # of one call; of more, every second, third, ... target is counted
MOST_OUTPUTS = 4096  # likewise of one row of numbers
VALUE_LOSSES = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "gaussian_nll_loss"}
FEWEST_ROWS = 50

# Beyond sampling error: 3.7 standard errors, which chance exceeds in 1 of 10,000 cases.
SURE = 3.7
# What a network that learned anything gains over a constant answer: 10 % of its loss, 15 points of accuracy.
GAIN, LEAD = 0.1, 0.15


@dataclass
class Evidence:
    """The answers on some rows, and the best constant answer on the same rows.

    Args:
        rows: number of targets.
        loss: mean loss per target, without weights and label smoothing: cross-entropy, squared or absolute error.
        constant: the same of the best constant answer: the entropy of the classes, or the variance of the targets.
        gain_error: standard error of `constant - loss`.
        accuracy: share of correct answers; None if the targets are numbers.
        majority: share of the most frequent class, which is the accuracy of the best constant answer.
        lead_error: standard error of `accuracy - majority`.
        answer: the most frequent class.
        only: the class that is predicted for all rows; None if there are several.
        classes: number of classes among the targets; 0 if the targets are numbers.
        targets_per_row: of segmentation, for example, all pixels of an image; they are not independent.
        shares: of the classes among the targets.
        fair: whether the loss counts all classes alike, so that the most frequent class is a fair rival.
    """

    rows: int
    loss: float
    constant: float
    gain_error: float
    accuracy: float | None = None
    majority: float = 0.0
    lead_error: float = 0.0
    answer: int = 0
    only: int | None = None
    classes: int = 0
    targets_per_row: float = 1.0
    shares: list[float] = field(default_factory=list)
    fair: bool = True

    @property
    def is_judged(self) -> bool:
        """Whether a constant answer can be wrong here, and there are enough rows to say."""
        return (
            self.rows >= FEWEST_ROWS and self.classes != 1 and math.isfinite(self.loss) and self.constant > 0
        )

    @property
    def beats_constant(self) -> bool:
        """Whether it is better than the constant answer in the loss or in the accuracy, by more than two errors."""
        ahead = self.accuracy is not None and self.accuracy - self.majority > 2 * self.lead_error
        return ahead or self.constant - self.loss > 2 * self.gain_error

    @property
    def surely_no_better(self) -> bool:
        """Whether all that the sampling error leaves possible is less than any network that learned would gain."""
        factor = SURE * math.sqrt(self.targets_per_row)
        gain = self.constant - self.loss + factor * self.gain_error
        lead = 0.0  # also of one class for all rows, whichever it is
        if self.accuracy is not None and self.only is None:
            lead = self.accuracy - self.majority + factor * self.lead_error
        return self.is_judged and not self.beats_constant and gain < GAIN * self.constant and lead < LEAD

    def resembles(self, other: Evidence) -> bool:
        """Whether the classes are as frequent as in other rows, up to chance; not so if one side was resampled."""
        if len(self.shares) != len(other.shares):
            return False
        distance = sum(abs(a - b) for a, b in zip(self.shares, other.shares, strict=True)) / 2
        chance = sum(math.sqrt(len(self.shares) / each.rows) for each in (self, other))
        return distance < 0.1 + 0.6 * chance


class ClassTally:
    """Counts by class: targets, correct answers, sum and squares of the cross-entropy, predictions."""

    def __init__(self, weighted: bool) -> None:
        self.weighted, self.targets_per_row = weighted, 1.0
        self.sums: Any = None  # Tensor (5, K); None before the first call
        self.soft: Any = None  # number of targets that are not one class

    def add(self, call: LossCall) -> bool:
        """Add a call; returns whether it could be counted."""
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
        self.targets_per_row = target.numel() / max(len(call.target) if call.target.ndim else 1, 1)
        return True

    def merge(self, other: ClassTally) -> None:
        """Add the rows of another tally of the same classes."""
        if self.sums is not None and other.sums is not None and self.sums.shape == other.sums.shape:
            self.sums, self.soft = self.sums + other.sums, self.soft + other.soft

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
        return Evidence(
            rows=int(rows),
            loss=float(sums.sum() / rows),
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
        )


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

    def __init__(self, absolute: bool, center: Tensor | None) -> None:
        self.absolute, self.center = absolute, center
        self.rows = 0
        self.sums: Any = None  # Tensor (4,): errors of the answers, of the center, difference, its squares
        self.total: Any = None  # sum of the targets, of each output

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
        sums = torch.stack([own.sum(), rival.sum(), difference.sum(), (difference**2).sum()])
        self.sums = sums if self.sums is None else self.sums + sums
        self.total = target.sum(0) if self.total is None else self.total + target.sum(0)
        self.rows += len(target)
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
        own, rival, difference, squares = (self.sums / self.rows).tolist()
        spread = max(squares - difference**2, 0.0)
        # unbiased: the mean of the rows themselves is closer to them than that of new rows would be
        constant = (rival - shift) * (1.0 if self.absolute else self.rows / (self.rows - 1))
        return Evidence(self.rows, own, constant, math.sqrt(spread / self.rows))


Tally = ClassTally | ValueTally


def new_tally(call: LossCall, center: Tensor | None) -> Tally | str:
    """The tally for calls like this one, or why there is none.

    Args:
        call: the first of them.
        center: a known mean of the targets, if they are numbers.
    """
    if call.name in CLASS_LOSSES | BINARY_LOSSES:
        weights = (call.options.get(name) for name in ("weight", "pos_weight"))
        return ClassTally(weighted=any(each is not None for each in weights))
    if call.name not in VALUE_LOSSES or call.options.get("weight") is not None:
        return f"{call.name} has no constant answer to compare with"
    if center is not None and center.device != call.target.device:
        center = None
    return ValueTally(call.name == "l1_loss", center)


def evidence_of(tallies: list[Tally]) -> Evidence | str:
    """What several tallies of the same loss say together."""
    total: Any = copy.copy(tallies[0])
    for tally in tallies[1:]:
        total.merge(tally)
    return total.evidence()
