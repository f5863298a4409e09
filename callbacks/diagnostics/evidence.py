"""Evidence: how well the network answers, next to the best constant answer on the same rows.

It is what a tally of loss calls says in the end; see `tallies.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from callbacks.diagnostics.loss_calls import CLASS_LOSSES

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
        loss_error: standard error of `loss`.
        accuracy_error: standard error of `accuracy`, if rows have several targets.
        clusters: number of rows with several targets, which both errors take for the unit; 0 if each has one.
        loss_name: the loss function, as torch calls it.
        loss_half, accuracy_half: half of their 95 % intervals, for rows that depend on each other; else NaN.
        whole: whether all rows of an evaluation were counted, not only those of its first batches.
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
    loss_error: float = math.nan
    accuracy_error: float = math.nan
    clusters: int = 0
    loss_name: str = ""
    loss_half: float = math.nan
    accuracy_half: float = math.nan
    whole: bool = False

    @property
    def counted(self) -> str:
        """How many targets there were, in words: "600 rows", or positions (pixels, tokens) of rows that have several."""
        several = "positions" if self.loss_name in CLASS_LOSSES else "targets"
        return f"{self.rows} {'rows' if self.targets_per_row == 1 else several}"

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
