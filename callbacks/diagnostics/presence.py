"""Which layers get no gradient because they are cut off, and which because it was not their turn.

A mixture of experts, stochastic depth and heads chosen at random leave layers out, others at each step.
"""

from __future__ import annotations

from collections.abc import Collection

CHANCE = 1e-4  # below this, chance does not explain how long a layer has been without a gradient


class Presence:
    """Counts, at probe steps, how often each layer got a gradient."""

    def __init__(self) -> None:
        self._steps = 0
        self._absent: dict[str, int] = {}  # by layer: the steps without a gradient
        self._absent_in_a_row: dict[str, int] = {}  # up to now

    def add_step(self, latest: dict[str, dict[str, float]], missing: list[str]) -> None:
        """Add what a `GradientMonitor` found: its `latest` and its `missing`."""
        present = {tag for tag, value in latest.get("grad_norm", {}).items() if value != 0}
        self.add(present, {*latest.get("weight_norm", {}), *missing} - present)

    def add(self, present: Collection[str], absent: Collection[str]) -> None:
        """Add a probe step: the layers with a gradient, and those without."""
        self._steps += 1
        for tag in absent:
            self._absent[tag] = self._absent.get(tag, 0) + 1
            self._absent_in_a_row[tag] = self._absent_in_a_row.get(tag, 0) + 1
        for tag in present:
            self._absent_in_a_row[tag] = 0

    def may_come_back(self, tag: str) -> bool:
        """Whether this layer is without a gradient no longer than layers that come and go may be by chance.

        If no layer comes and goes, none is chosen at random. Otherwise each is taken to be left out as often as the one
        of them that is left out most.
        """
        coming_and_going = [
            # as if it had been there once more, and absent once more: a few steps do not give a share exactly
            (count + 1) / (self._steps + 2)
            for count in self._absent.values()
            if 0 < count < self._steps
        ]
        if not coming_and_going:
            return False
        return max(coming_and_going) ** self._absent_in_a_row.get(tag, 0) > CHANCE
