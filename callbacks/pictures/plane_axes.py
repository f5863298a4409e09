"""A plane of two inputs with its samples: limits, names and ticks of the axes, and the grid that covers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from callbacks.data_spec import spec_of
from callbacks.pictures.network import axis_name, class_names, feature_name
from callbacks.pictures.style import MARKERS, class_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 80  # points of the grid along each axis
GOLDEN = 0.5 * (5**0.5 - 1)  # its multiples modulo 1 are evenly spread: a jitter without random numbers
SPREAD = 0.7  # width of the jitter; the two values of a feature are 1 apart


class PlaneAxes:
    """What the pictures of one plane share.

    Args:
        points: (N, 2), in the units of the table.
        labels: classes (N,).
        data: for names; see `spec_of`.

    `low` and `high` are the corners of the visible part. A feature with two values (in `value_names`) has ticks with
    their names, and its points are spread sideways.
    """

    def __init__(self, points: np.ndarray, labels: np.ndarray, data: Any = None) -> None:
        self.points, self.labels = points, labels
        self.names = [axis_name(data, k) for k in range(2)]
        value_names = spec_of(data).value_names
        self.values = [value_names.get(feature_name(data, k)) for k in range(2)]
        self.is_binary = np.array([names is not None for names in self.values])
        self.classes = class_names(data, int(labels.max()) + 1)
        self.colors = class_colors(len(self.classes))
        low, high = points.min(0), points.max(0)
        size = high - low
        self.is_isotropic = not self.is_binary.any() and size.max() < 3 * size.min()
        if self.is_isotropic:  # the same scale on both axes, in a square
            low, high = (low + high - size.max()) / 2, (low + high + size.max()) / 2
        margin = np.where(self.is_binary, 0.5, 0.05 * (high - low) + 1e-9)
        self.low, self.high = low - margin, high + margin

    def ticks(self) -> tuple[np.ndarray, np.ndarray]:
        """The coordinates of the grid along each axis."""
        return np.linspace(self.low[0], self.high[0], SIDE), np.linspace(self.low[1], self.high[1], SIDE)

    def grid(self) -> np.ndarray:
        """Points (SIDE * SIDE, 2), row by row from the bottom."""
        horizontal, vertical = np.meshgrid(*self.ticks())
        return np.stack([horizontal.ravel(), vertical.ravel()], axis=1)

    def shown(self) -> np.ndarray:
        """The points (N, 2) as they are drawn."""
        jitter = (np.arange(len(self.points)) * GOLDEN % 1 - 0.5) * SPREAD
        return self.points + np.where(self.is_binary, jitter[:, None], 0.0)

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
        for axis, values in zip((axes.xaxis, axes.yaxis), self.values, strict=True):
            if values:
                axis.set_ticks([0, 1], list(values))
        if labels:
            axes.set(xlabel=self.names[0], ylabel=self.names[1])

    def line(self, weight: np.ndarray, bias: float) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """The line w1 x1 + w2 x2 + b = 0: both ends of its visible part, and the direction in which the sum grows.

        The direction looks perpendicular, whatever the units of the axes, and is as long as the picture is wide.
        None if no part is visible.
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
