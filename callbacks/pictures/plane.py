"""Two inputs and a class: the network's output at every point of the plane, and the line of each hidden unit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.network import (
    array,
    dense_layers,
    in_table_units,
    is_table,
    prepared_inputs,
    probabilities,
    raw_inputs,
)
from callbacks.pictures.plane_axes import SIDE, PlaneAxes
from callbacks.pictures.style import DIVERGING, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_LINES = 12


def suits_plane(data: Any) -> bool:
    """Whether the inputs are the points of a plane, and the task is to separate classes."""
    return is_table(data, "binary", "multiclass") and spec_of(data).in_shape[0] == 2


class Plane(Picture):
    """`fit/plane`: the probability of each class over the plane, and the samples. `fit/lines`: each unit's line.

    The line of a unit in the first hidden layer is where its weighted sum of the inputs is 0: there a sigmoid is
    one half, and a relu begins to rise.
    """

    how_to_read: ClassVar = {
        "fit/plane": "The background is the network's answer at each point, and a dot is a sample in the color of "
        "its true class: where the two colors differ, the network is wrong.",
        "fit/lines": "Each hidden unit cuts the plane in two along its line; the arrow points to the side where the "
        "unit is on.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return suits_plane(data)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y = batch
        plane = PlaneAxes(raw_inputs(data, x), array(y).astype(int), data)
        grid = prepared_inputs(data, plane.grid(), like=x)
        yield "fit/plane", draw_plane(plane, probabilities(pl_module, spec_of(data).task, grid))
        layers = dense_layers(pl_module, grid)
        if len(layers) > 1 and layers[0][0].in_features == 2:
            yield "fit/lines", draw_lines(plane, *in_table_units(layers[0][0], data))


def draw_plane(plane: PlaneAxes, probability: np.ndarray) -> Figure:
    """Probabilities (SIDE * SIDE, K) over the plane, and the samples."""
    figure = new_figure(5.0, 4.6)
    axes = figure.subplots()
    if probability.shape[1] == 2:
        draw_probability(axes, plane, probability[:, 1])
    else:
        draw_regions(axes, plane, probability)
    plane.scatter(axes)
    plane.frame(axes)
    figure.legend(loc="outside lower center", ncols=len(plane.classes), markerscale=1.6)
    figure.suptitle("Output of the network")
    return figure


def draw_probability(axes: Axes, plane: PlaneAxes, probability: np.ndarray) -> None:
    """Filled contours of the probability of class 1, and the line where it is one half."""
    levels = np.linspace(0, 1, 11)
    field = probability.reshape(SIDE, SIDE)
    filled = axes.contourf(*plane.ticks(), field, levels, cmap=DIVERGING, vmin=0, vmax=1, alpha=0.7)
    if field.min() < 0.5 < field.max():
        axes.contour(*plane.ticks(), field, [0.5], colors="black", linewidths=1.5)
    axes.figure.colorbar(filled, ax=axes, label=f"P({plane.classes[1]})", ticks=levels[::2])
    axes.set_title("probability, black where it is 0.5")


def draw_regions(axes: Axes, plane: PlaneAxes, probability: np.ndarray) -> None:
    """The colors of the classes, mixed by probability; gray means unsure."""
    from matplotlib.colors import to_rgb

    mixed = probability @ np.array([to_rgb(color) for color in plane.colors])
    corners = (plane.low[0], plane.high[0], plane.low[1], plane.high[1])
    pixels = (1 - 0.45 * (1 - mixed)).reshape(SIDE, SIDE, 3)
    axes.imshow(pixels, origin="lower", extent=corners, aspect="auto", interpolation="bilinear")
    axes.set_title("colors mixed by probability")


def draw_lines(plane: PlaneAxes, weight: np.ndarray, bias: np.ndarray) -> Figure:
    """The line of each unit with weights (H, 2) and bias (H,), and an arrow to where its weighted sum is positive."""
    figure = new_figure(4.6, 4.6)
    axes = figure.subplots()
    plane.scatter(axes, size=8, alpha=0.5)
    size = plane.high - plane.low
    unseen = []
    for unit in range(min(len(weight), MAX_LINES)):
        line = plane.line(weight[unit], bias[unit])
        if line is None:
            unseen.append(str(unit + 1))
            continue
        start, end, direction = line
        axes.plot(*np.transpose([start, end]), color="black", linewidth=1.5)
        foot = start + 0.85 * (end - start)  # where lines that enclose something are apart
        arrow = {"arrowstyle": "-|>", "color": "black", "shrinkA": 0}
        axes.annotate("", foot + 0.08 * direction, foot, arrowprops=arrow)
        place = np.clip(foot + 0.12 * direction, plane.low + 0.03 * size, plane.high - 0.03 * size)
        axes.text(place[0], place[1], str(unit + 1), ha="center", va="center", fontweight="bold")
    plane.frame(axes)
    axes.set_title("arrow: where the unit is on" + (f"; outside: {', '.join(unseen)}" if unseen else ""))
    figure.legend(loc="outside lower center", ncols=len(plane.classes), markerscale=1.6)
    figure.suptitle("Line of each hidden unit")
    return figure
