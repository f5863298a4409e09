"""A plane of two inputs with its samples: limits, names and ticks of the axes, and the grid that covers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from callbacks.pictures.network import feature_name
from callbacks.pictures.style import COLORS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 80  # points of the grid along each axis
GOLDEN = 0.5 * (5**0.5 - 1)  # its multiples, modulo 1, lie evenly: a jitter without a random number


class View:
    """The plane that the pictures of one batch share.

    Args:
        points: (N, 2), in the units of the table.
        labels: classes (N,).
        data: for names; see `network.py`.

    `low` and `high` are the corners of what is shown. A feature with two values (in `value_names`) has ticks with their
    names, and its points are spread to the sides a little.
    """

    def __init__(self, points: np.ndarray, labels: np.ndarray, data: Any = None) -> None:
        self.points, self.labels = points, labels
        self.names = [feature_name(data, k) for k in range(2)]
        values = getattr(data, "value_names", {})
        self.values = [values.get(name) for name in getattr(data, "feature_names", ("", ""))]
        classes = getattr(data, "class_names", ())
        self.classes = list(classes) or [f"class {k}" for k in range(int(labels.max()) + 1)]
        self.low, self.high = points.min(0), points.max(0)
        ranges = self.high - self.low
        self.is_isotropic = not any(self.values) and 1 / 3 < ranges[0] / max(ranges[1], 1e-12) < 3
        if self.is_isotropic:  # the same scale on both axes, in a square
            middle, half = (self.low + self.high) / 2, ranges.max() / 2
            self.low, self.high = middle - half, middle + half
        margin = np.where([bool(names) for names in self.values], 0.45, 0.06 * (self.high - self.low) + 1e-9)
        self.low, self.high = self.low - margin, self.high + margin

    def grid(self) -> np.ndarray:
        """Points (SIDE * SIDE, 2), row by row from below."""
        horizontal, vertical = np.meshgrid(*self.ticks())
        return np.stack([horizontal.ravel(), vertical.ravel()], axis=1)

    def ticks(self) -> list[np.ndarray]:
        """The coordinates of the grid along each axis."""
        return [np.linspace(self.low[k], self.high[k], SIDE) for k in range(2)]

    def shown(self) -> np.ndarray:
        """The points (N, 2) as they are drawn."""
        spread = (np.arange(len(self.points)) * GOLDEN % 1 - 0.5) * 0.7
        return self.points + np.where([bool(names) for names in self.values], spread[:, None], 0.0)

    def line(self, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the line w1 x1 + w2 x2 + b = 0, given as (w1, w2, b): two points far out, and a step to its positive side.

        All as the eye sees it: perpendicular in the picture, whatever the units of the axes.
        """
        size = self.high - self.low
        normal = plane[:2] * size  # in a picture of side 1
        offset = plane[2] + plane[:2] @ self.low
        length = np.linalg.norm(normal) + 1e-12
        normal, offset = normal / length, offset / length
        nearest = np.array([0.5, 0.5]) - (normal @ [0.5, 0.5] + offset) * normal
        along = np.array([-normal[1], normal[0]]) * 2
        return self.low + (nearest - along) * size, self.low + (nearest + along) * size, 0.08 * normal * size

    def scatter(self, axes: Axes, size: float = 14.0) -> None:
        """The samples, a color and a marker for each class."""
        shown = self.shown()
        for label, name in enumerate(self.classes):
            of_class = self.labels == label
            axes.scatter(
                shown[of_class, 0],
                shown[of_class, 1],
                s=size,
                c=COLORS[label % len(COLORS)],
                marker=MARKERS[label % len(MARKERS)],
                edgecolors="white",
                linewidths=0.4,
                label=name,
            )

    def frame(self, axes: Axes, *, labels: bool = True) -> None:
        """Limits, names and ticks."""
        axes.set(xlim=(self.low[0], self.high[0]), ylim=(self.low[1], self.high[1]))
        if self.is_isotropic:
            axes.set_aspect("equal")
        for axis, values in zip((axes.xaxis, axes.yaxis), self.values, strict=True):
            if values:
                axis.set_ticks([0, 1], list(values))
        if labels:
            axes.set(xlabel=self.names[0], ylabel=self.names[1])
