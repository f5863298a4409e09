"""The course of a loss, however long the training is, in a few hundred points."""

from __future__ import annotations

import math

import numpy as np

MAX_POINTS = 300


class Course:
    """Means over as many steps as it takes to stay below twice `MAX_POINTS` points."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []  # the mean step and value of each full group
        self._size = 1  # values in a group
        self._group: list[tuple[float, float]] = []

    def add(self, step: float, value: float) -> None:
        """Add the value of a step; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        self._group.append((step, value))
        if len(self._group) == self._size:
            self._points.append(mean(self._group))
            self._group = []
        if len(self._points) >= 2 * MAX_POINTS:
            self._points = [mean(self._points[k : k + 2]) for k in range(0, len(self._points), 2)]
            self._size *= 2

    def points(self) -> np.ndarray:
        """Rows (step, value), oldest first; the last one may stand for fewer steps than the others."""
        return np.array([*self._points, *([mean(self._group)] if self._group else [])]).reshape(-1, 2)


def mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Of steps and of values."""
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
