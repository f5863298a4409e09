"""A loss over the training, and what its course says: whether it still falls, since when it does not, how it swings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, linear_regression, median

MOST_POINTS = 1000
FEWEST_POINTS = 8  # to judge a course
SURE = 4.0  # standard errors of a slope


@dataclass
class Curve:
    """The losses in order, with their optimizer steps and epochs. Of more than `MOST_POINTS`, every second is dropped."""

    steps: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def add(self, step: int, epoch: int, loss: float) -> None:
        self.steps.append(step)
        self.epochs.append(epoch)
        self.losses.append(loss)
        if len(self.losses) > MOST_POINTS:
            for values in (self.steps, self.epochs, self.losses):
                del values[1:-1:2]

    @property
    def is_judged(self) -> bool:
        """Whether there are enough points, all of them finite."""
        return len(self.losses) >= FEWEST_POINTS and all(map(math.isfinite, self.losses))

    @property
    def scale(self) -> float:
        """What a change of the loss is compared with: its whole fall, or at least a tenth of its level."""
        return max(self.losses[0] - self.level, 0.1 * abs(self.level), 1e-12)

    @property
    def level(self) -> float:
        """The loss now: the median of the last few values."""
        return median(self.losses[-max(3, len(self.losses) // 20) :])

    def fall(self) -> Fall:
        """How the loss falls in the last third."""
        start = min(2 * len(self.losses) // 3, len(self.losses) - 4)
        return slope(self.losses[start:], self.steps[start:], self.epochs[start:])

    def settled_since(self, tolerance: float) -> int:
        """The first index from which on all smoothed values are within `tolerance` of the level."""
        smooth = [median(self.losses[max(k - 2, 0) : k + 3]) for k in range(len(self.losses))]
        away = [k for k, value in enumerate(smooth) if abs(value - self.level) > tolerance]
        return away[-1] + 1 if away else 0

    def swing(self) -> float:
        """The median change from point to point in the last half, if at least half of the changes turn round; else 0."""
        recent = self.losses[len(self.losses) // 2 :]
        changes = [b - a for a, b in pairwise(recent)]
        turns = sum(a * b < 0 for a, b in pairwise(changes))
        return median(map(abs, changes)) if 2 * turns >= len(changes) - 1 else 0.0

    def when(self, index: int) -> str:
        """A point in words, counted in epochs if every point has one of its own."""
        index = min(index, len(self.steps) - 1)
        by_epoch = len(set(self.epochs)) == len(self.epochs)
        return f"epoch {self.epochs[index]}" if by_epoch else f"step {self.steps[index]}"


@dataclass
class Fall:
    """A straight line through the losses.

    Args:
        total: how much it falls from the first to the last point.
        errors: the same in standard errors.
        pace: in words, per epoch or per 100 steps.
    """

    total: float
    errors: float
    pace: str


def slope(losses: list[float], steps: list[int], epochs: list[int]) -> Fall:
    """The line through these losses, by least squares."""
    places = [float(k) for k in range(len(losses))]
    line = linear_regression(places, losses)
    residuals = [y - line.slope * x - line.intercept for x, y in zip(places, losses, strict=True)]
    spread = sum((x - fmean(places)) ** 2 for x in places)
    error = math.sqrt(sum(r**2 for r in residuals) / (len(losses) - 2) / spread)
    total = -line.slope * (len(losses) - 1)
    if len(set(epochs)) == len(epochs):
        pace = f"{total / (epochs[-1] - epochs[0]):.2g} per epoch"
    else:
        pace = f"{100 * total / max(steps[-1] - steps[0], 1):.2g} per 100 steps"
    return Fall(total, -line.slope / max(error, 1e-12), pace)
