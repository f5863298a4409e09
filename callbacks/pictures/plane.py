"""Two inputs and a class: what the network says at every point of the plane, and what its hidden units say."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
from torch import nn

from callbacks.pictures.base import Picture
from callbacks.pictures.network import array, dense_layers, prepared_inputs, probabilities, raw_inputs
from callbacks.pictures.style import COLORS, DIVERGING, SEQUENTIAL, new_figure
from callbacks.pictures.view import SIDE, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_UNITS = 12


class Plane(Picture):
    """`fit/plane`: probabilities over the plane with the samples on top, and the line of each hidden unit.

    `fit/units`: the output of each unit of the last hidden layer over the plane.
    """

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        is_plane = list(getattr(data, "in_shape", ())) == [2]
        return is_plane and getattr(data, "task", "") in ("binary", "multiclass")

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y = batch
        view = View(raw_inputs(data, x), array(y).astype(int), data)
        grid = prepared_inputs(data, view.grid(), like=x)
        layers = dense_layers(pl_module, grid)
        has_units = len(layers) > 1
        lines = unit_lines(layers[0][0], data) if has_units and layers[0][0].in_features == 2 else None
        yield "fit/plane", draw_plane(view, probabilities(pl_module, data.task, grid), lines)
        if has_units:
            yield "fit/units", draw_units(view, array(layers[-1][1]))


def unit_lines(layer: nn.Linear, data: Any) -> np.ndarray:
    """Of each unit (H, 3) the weights w1, w2 and the bias b, as they apply to inputs in the units of the table.

    Where w1 x1 + w2 x2 + b is 0, a sigmoid unit is at one half and a relu unit begins.
    """
    weight = array(layer.weight)
    bias = array(layer.bias) if layer.bias is not None else np.zeros(len(weight))
    origin = raw_inputs(data, layer.weight.new_zeros(1, 2))[0]  # raw = scale * prepared + origin
    scale = raw_inputs(data, layer.weight.new_ones(1, 2))[0] - origin
    raw_weight = weight / scale
    return np.column_stack([raw_weight, bias - raw_weight @ origin])


def draw_plane(view: View, probability: np.ndarray, lines: np.ndarray | None = None) -> Figure:
    """Probabilities (SIDE * SIDE, K) over the plane; beside them the units' lines (H, 3), if any."""
    figure = new_figure(5.4 if lines is None else 9.6, 4.4)
    panels = figure.subplots(1, 1 if lines is None else 2, squeeze=False)[0]
    if probability.shape[1] == 2:
        draw_probability(panels[0], view, probability[:, 1])
    else:
        draw_regions(panels[0], view, probability)
    view.scatter(panels[0])
    view.frame(panels[0])
    if lines is not None:
        draw_lines(panels[1], view, lines)
    figure.suptitle("What the network says")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), markerscale=1.5)
    return figure


def draw_probability(axes: Axes, view: View, probability: np.ndarray) -> None:
    """Filled contours of the probability of class 1, and the line where it is one half."""
    levels = np.linspace(0, 1, 11)
    horizontal, vertical = view.ticks()
    field = probability.reshape(SIDE, SIDE)
    filled = axes.contourf(horizontal, vertical, field, levels, cmap=DIVERGING, vmin=0, vmax=1, alpha=0.85)
    if field.min() < 0.5 < field.max():
        axes.contour(horizontal, vertical, field, [0.5], colors="black", linewidths=1.5)
    axes.figure.colorbar(filled, ax=axes, label=f"P({view.classes[1]})", ticks=levels[::2])


def draw_regions(axes: Axes, view: View, probability: np.ndarray) -> None:
    """Each class's color, mixed by its probability: what is pale or mixed is not sure."""
    from matplotlib.colors import to_rgb

    colors = np.array([to_rgb(COLORS[k % len(COLORS)]) for k in range(probability.shape[1])])
    mixed = 1 - 0.4 * (1 - probability @ colors)
    extent = (view.low[0], view.high[0], view.low[1], view.high[1])
    axes.imshow(
        mixed.reshape(SIDE, SIDE, 3), origin="lower", extent=extent, aspect="auto", interpolation="bilinear"
    )


def draw_lines(axes: Axes, view: View, lines: np.ndarray) -> None:
    """Each unit's line, with an arrow to the side on which the unit is on."""
    axes.set_title("each hidden unit's line")
    view.scatter(axes, size=5)
    for unit, (start, end, toward) in enumerate(map(view.line, lines[:MAX_UNITS])):
        color = COLORS[(unit + 2) % len(COLORS)]
        axes.plot(*np.transpose([start, end]), color=color)
        middle = (start + end) / 2
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 1.8}
        axes.annotate(
            str(unit + 1), middle, middle + toward, color=color, arrowprops={**arrow, "arrowstyle": "<|-"}
        )
    view.frame(axes)


def draw_units(view: View, hidden: np.ndarray) -> Figure:
    """The outputs (SIDE * SIDE, H) of hidden units over the plane, on one scale."""
    units = hidden[:, :MAX_UNITS].T
    columns = min(len(units), 4)
    rows = math.ceil(len(units) / columns)
    figure = new_figure(1.2 + 2.6 * columns, 0.9 + 2.5 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    low, high = float(units.min()), max(float(units.max()), float(units.min()) + 1e-6)
    levels = np.linspace(low, high, 11)
    for unit, axes in enumerate(panels.flat):
        if unit >= len(units):
            axes.set_axis_off()
            continue
        filled = axes.contourf(*view.ticks(), units[unit].reshape(SIDE, SIDE), levels, cmap=SEQUENTIAL)
        view.scatter(axes, size=4)
        view.frame(axes, labels=False)
        axes.set_title(f"unit {unit + 1}")
    figure.colorbar(filled, ax=panels, label="output of the unit", format="%.1f")
    figure.supxlabel(view.names[0], fontsize=11)
    figure.supylabel(view.names[1], fontsize=11)
    figure.suptitle("What each hidden unit says")
    return figure
