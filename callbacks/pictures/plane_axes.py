"""A plane of two inputs with its samples: limits, names and ticks of the axes, and the grid that covers it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from callbacks.data_spec import spec_of
from callbacks.pictures.network import axis_name, class_names, feature_name
from callbacks.pictures.style import MARKERS, class_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 80  # points of the grid along each axis
GOLDEN = 0.5 * (5**0.5 - 1)  # its multiples modulo 1 are evenly spread: a jitter without random numbers
SPREAD = 0.7  # width of the jitter, as a share of the distance between the two values of a feature
COLUMN = 0.84  # width of the column of one value, as a share of that distance
FEW = 16  # with so few samples, two values say nothing about a feature

Line = tuple[np.ndarray, np.ndarray, np.ndarray]  # both ends, and a direction
Part = tuple[np.ndarray, np.ndarray, np.ndarray]  # positions along both axes, and what is there


class PlaneAxes:
    """What the pictures of one plane share.

    Args:
        points: (N, 2), in the units of the table.
        labels: classes (N,).
        data: for names; see `spec_of`.

    `low` and `high` are the corners of the visible part. There is nothing between the two values of a feature such as
    the sex, so the plane is then two columns (two rows, if it is the second feature). A column shows the network at its
    value, everywhere in its width, and its points are spread sideways.
    """

    def __init__(self, points: np.ndarray, labels: np.ndarray, data: Any = None) -> None:
        self.points, self.labels = points, labels
        self.names = [axis_name(data, k) for k in range(2)]
        value_names = [spec_of(data).value_names.get(feature_name(data, k)) for k in range(2)]
        self.pairs = [two_values(points[:, k], value_names[k]) for k in range(2)]
        self.value_names = [
            names or [f"{value:.4g}" for value in pair or ()]
            for names, pair in zip(value_names, self.pairs, strict=True)
        ]
        self.classes = class_names(data, int(labels.max()) + 1)
        self.colors = class_colors(len(self.classes))
        low, high = points.min(0), points.max(0)
        size = high - low
        self.is_isotropic = self.pairs == [None, None] and size.max() < 3 * size.min()
        if self.is_isotropic:  # the same scale on both axes, in a square
            low, high = (low + high - size.max()) / 2, (low + high + size.max()) / 2
        low, high = low - 0.05 * (high - low) - 1e-9, high + 0.05 * (high - low) + 1e-9
        for k, pair in enumerate(self.pairs):
            if pair is not None:
                half = (pair[1] - pair[0]) / 2
                low[k], high[k] = pair[0] - half, pair[1] + half
        self.low, self.high = low, high

    def stretches(self, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Positions along axis k, and the feature's values there: one stretch, or one for each of two values.

        Next to columns, the values of the samples are among them, so that each sample lies on the color that the
        network gives to it.
        """
        pair = self.pairs[k]
        if pair is None:
            ticks = np.linspace(self.low[k], self.high[k], SIDE)
            if self.pairs[1 - k] is not None:
                ticks = np.union1d(ticks, self.points[:, k])
            return [(ticks, ticks)]
        half = COLUMN * (pair[1] - pair[0]) / 2
        return [(np.array([value - half, value + half]), np.array([value, value])) for value in pair]

    def grid(self) -> np.ndarray:
        """Points (G, 2) that cover the plane, part after part, each row by row from the bottom."""
        parts = product(self.stretches(1), self.stretches(0))
        grids = (np.meshgrid(horizontal, vertical) for (_, vertical), (_, horizontal) in parts)
        return np.concatenate([np.stack([x.ravel(), y.ravel()], axis=1) for x, y in grids])

    def parts(self, values: np.ndarray) -> Iterator[Part]:
        """What is drawn at each point of the grid (G, ...), as one field (rows, columns, ...) for each part."""
        start = 0
        for (vertical, _), (horizontal, _) in product(self.stretches(1), self.stretches(0)):
            shape = (len(vertical), len(horizontal))
            end = start + shape[0] * shape[1]
            yield horizontal, vertical, values[start:end].reshape(*shape, *values.shape[1:])
            start = end

    def shown(self) -> np.ndarray:
        """The points (N, 2) as they are drawn."""
        jitter = (np.arange(len(self.points)) * GOLDEN % 1 - 0.5) * SPREAD
        widths = [0.0 if pair is None else pair[1] - pair[0] for pair in self.pairs]
        return self.points + jitter[:, None] * np.array(widths)

    def scatter(self, axes: Axes, size: float = 16.0, alpha: float = 1.0, edge: float = 0.5) -> None:
        """Draw the samples, with a color and a marker for each class."""
        shown = self.shown()
        for label, name in enumerate(self.classes):
            points = shown[self.labels == label].T
            axes.scatter(
                points[0],
                points[1],
                s=size,
                c=self.colors[label],
                marker=MARKERS[label % len(MARKERS)],
                edgecolors="white",
                linewidths=edge,
                alpha=alpha,
                label=name,
            )

    def frame(self, axes: Axes, *, labels: bool = True) -> None:
        """Set limits, names and ticks."""
        axes.set(xlim=(self.low[0], self.high[0]), ylim=(self.low[1], self.high[1]))
        if self.is_isotropic:
            axes.set_aspect("equal")
        for axis, pair, names in zip((axes.xaxis, axes.yaxis), self.pairs, self.value_names, strict=True):
            if pair is not None:
                axis.set_ticks(pair, list(names))
        if labels:
            axes.set(xlabel=self.names[0], ylabel=self.names[1])

    def lines(self, weight: np.ndarray, bias: float) -> list[Line]:
        """The line w1 x1 + w2 x2 + b = 0 in each part of the plane where it can be seen.

        In the column of a value only the other feature varies, so the line lies across the column. If both features
        have two values, there is no line.
        """
        if self.pairs == [None, None]:
            return [line] if (line := self._line(weight, bias)) else []
        if None not in self.pairs:
            return []
        k = 0 if self.pairs[0] is not None else 1
        found = []
        for (start, end), (value, _) in self.stretches(k):
            across = self._line(np.where(np.arange(2) == k, 0.0, weight), bias + weight[k] * value)
            if across is not None:
                across[0][k], across[1][k] = start, end
                found.append(across)
        return found

    def _line(self, weight: np.ndarray, bias: float) -> Line | None:
        """Both ends of the visible part, and the direction in which the sum grows; None if no part is visible.

        The direction looks perpendicular, whatever the units of the axes, and is as long as the picture is wide.
        """
        size = self.high - self.low
        normal, offset = weight * size, bias + weight @ self.low  # in a picture of side 1
        length = np.linalg.norm(normal) + 1e-30
        normal, offset = normal / length, offset / length
        foot, along = -offset * normal, np.array([-normal[1], normal[0]])
        with np.errstate(divide="ignore", invalid="ignore"):
            crossings = np.sort([-foot / along, (1 - foot) / along], axis=0)  # of the four sides
        enter, leave = np.nanmax(crossings[0]), np.nanmin(crossings[1])
        if not enter < leave:
            return None
        start, end = (self.low + (foot + step * along) * size for step in (enter, leave))
        return start, end, normal * size


def two_values(column: np.ndarray, names: Sequence[str] | None) -> tuple[float, float] | None:
    """The two values of a feature that has no others: 0 and 1 if they have names; None for any other feature."""
    if names:
        return 0.0, 1.0
    low, high = float(column.min()), float(column.max())
    middle = np.abs(column - (low + high) / 2)
    has_two = len(column) > FEW and high > low and middle.min() > 0.4999 * (high - low)
    return (low, high) if has_two else None
