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
from callbacks.pictures.plane_axes import PlaneAxes
from callbacks.pictures.style import BLACK, DIVERGING, MANY_COLORS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_LINES = 12
BOX = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
FEW_LINES = 3  # so few can be followed in black
FEET = (
    0.85,
    0.15,
    0.7,
    0.3,
    0.5,
    0.92,
    0.08,
)  # where on its line an arrow may stand; lines that enclose something are
ENOUGH = 0.25  # apart near their ends. Between two arrows, as a share of the picture


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
        x, y, *_ = batch
        plane = PlaneAxes(raw_inputs(data, x), array(y).astype(int), data)
        grid = prepared_inputs(data, plane.grid(), like=x)
        yield "fit/plane", draw_plane(plane, probabilities(pl_module, spec_of(data).task, grid))
        layers = dense_layers(pl_module, grid)
        has_lines = None in plane.pairs  # else the plane is four fields, and nothing lies between them
        if has_lines and len(layers) > 1 and layers[0][0].in_features == 2:
            yield "fit/lines", draw_lines(plane, *in_table_units(layers[0][0], data))


def draw_plane(plane: PlaneAxes, probability: np.ndarray) -> Figure:
    """Probabilities (G, K) at the points of the grid, and the samples."""
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
    """Filled contours of the probability (G,) of class 1, and the line where it is one half."""
    levels = np.linspace(0, 1, 11)
    for x, y, field in plane.parts(probability):
        filled = axes.contourf(x, y, field, levels, cmap=DIVERGING, vmin=0, vmax=1, alpha=0.7)
        if field.min() < 0.5 < field.max():
            axes.contour(x, y, field, [0.5], colors="black", linewidths=1.5)
    axes.figure.colorbar(filled, ax=axes, label=f"P({plane.classes[1]})", ticks=levels[::2])
    axes.set_title("probability, black where it is 0.5")


def draw_regions(axes: Axes, plane: PlaneAxes, probability: np.ndarray) -> None:
    """The colors of the classes, mixed by probability; gray means unsure."""
    from matplotlib.colors import to_rgb

    mixed = probability @ np.array([to_rgb(color) for color in plane.colors])
    for x, y, pixels in plane.parts(1 - 0.45 * (1 - mixed)):
        corners = (x[0], x[-1], y[0], y[-1])
        axes.imshow(pixels, origin="lower", extent=corners, aspect="auto", interpolation="bilinear")
    axes.set_title("colors mixed by probability")


def draw_lines(plane: PlaneAxes, weight: np.ndarray, bias: np.ndarray) -> Figure:
    """The line of each unit with weights (H, 2) and bias (H,), and an arrow to where its weighted sum is positive."""
    figure = new_figure(4.6, 4.6)
    axes = figure.subplots()
    plane.scatter(axes, size=8, alpha=0.5)
    plane.frame(axes)
    size = plane.high - plane.low
    unseen: list[str] = []
    taken: list[np.ndarray] = []
    for unit in range(min(len(weight), MAX_LINES)):
        lines = plane.lines(weight[unit], bias[unit])
        if not lines:
            unseen.append(str(unit + 1))
        color = BLACK if len(weight) <= FEW_LINES else MANY_COLORS[unit % len(MANY_COLORS)]
        for start, end, direction in lines:
            axes.plot(*np.transpose([start, end]), color=color, linewidth=1.5)
            feet = start + np.array(FEET)[:, None] * (end - start)
            places = np.clip(feet + 0.12 * direction, plane.low + 0.03 * size, plane.high - 0.03 * size)
            best = roomiest(places / size, taken)
            taken.append(places[best] / size)
            arrow = {"arrowstyle": "-|>", "color": color, "shrinkA": 0}
            axes.annotate("", feet[best] + 0.08 * direction, feet[best], arrowprops=arrow)
            style: Any = {"color": color, "fontweight": "bold", "ha": "center", "va": "center", "bbox": BOX}
            x, y = places[best]
            axes.text(x, y, str(unit + 1), **style)
    axes.set_title("arrow: where the unit is on" + (f"; outside: {', '.join(unseen)}" if unseen else ""))
    figure.legend(loc="outside lower center", ncols=len(plane.classes), markerscale=1.6)
    of_all = f"the first {MAX_LINES} of {len(weight)} hidden units"
    figure.suptitle("Line of each hidden unit" if len(weight) <= MAX_LINES else f"Lines of {of_all}")
    return figure


def roomiest(places: np.ndarray, taken: list[np.ndarray]) -> int:
    """Which of the places (K, 2) is farthest from all that are taken; the first if none is taken."""
    if not taken:
        return 0
    distances = np.linalg.norm(places[:, None] - np.array(taken), axis=2).min(1)
    return int(np.argmax(np.minimum(distances, ENOUGH)))
