"""Two inputs and a class: the output of each hidden unit at every point of the plane, that is, the learned features."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl

from callbacks.pictures.base import Picture
from callbacks.pictures.network import array, dense_layers, has_hidden_layer, prepared_inputs, raw_inputs
from callbacks.pictures.plane import suits_plane
from callbacks.pictures.plane_axes import PlaneAxes
from callbacks.pictures.style import SEQUENTIAL, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_UNITS = 8


class PlaneUnits(Picture):
    """`fit/units`: the output of each unit of the last hidden layer over the plane, with the samples on top."""

    how_to_read: ClassVar = {
        "fit/units": "What each hidden unit has learned, its output at each point. Each output times its weight, "
        "added up, is what the network decides by.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return suits_plane(data) and has_hidden_layer(pl_module)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y, *_ = batch
        plane = PlaneAxes(raw_inputs(data, x), array(y).astype(int), data)
        last, hidden = dense_layers(pl_module, prepared_inputs(data, plane.grid(), like=x))[-1]
        weight = array(last.weight)[0] if last.out_features == 1 else None
        yield "fit/units", draw_units(plane, array(hidden), weight)


def draw_units(plane: PlaneAxes, hidden: np.ndarray, weight: np.ndarray | None = None) -> Figure:
    """Outputs (G, H) at the points of the grid, on one scale; `weight` (H,), if given, of each unit in the logit."""
    from matplotlib.ticker import MaxNLocator

    units = hidden[:, :MAX_UNITS].T
    columns = min(len(units), 2 if len(units) in (2, 4) else 3)
    rows = math.ceil(len(units) / columns)
    side = min(2.6, 4.9 / columns)
    titles = 0.25 if weight is None else 0.45  # one line or two
    width, height = 0.75 + side * columns, 1.8 + (side + 0.1 + titles) * rows
    figure = new_figure(width, height, layout=None)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    figure.subplots_adjust(
        0.65 / width, 1.4 / height, 1 - 0.1 / width, 1 - (0.4 + titles) / height, 0.1, (0.1 + titles) / side
    )
    bar = figure.add_axes((0.65 / width, 0.6 / height, 1 - 0.9 / width, 0.15 / height))
    levels = MaxNLocator(10).tick_values(units.min(), max(units.max(), units.min() + 1e-6))
    for axes in panels.flat[len(units) :]:
        axes.set_axis_off()
    for unit, (axes, output) in enumerate(zip(panels.flat, units, strict=False)):
        for x, y, field in plane.parts(output):
            filled = axes.contourf(x, y, field, levels, cmap=SEQUENTIAL)
        plane.scatter(axes, size=6, edge=0.3)
        plane.frame(axes, labels=False)
        axes.set_title(
            f"unit {unit + 1}" + ("" if weight is None else f"\noutput weight {weight[unit]:+.1f}")
        )
        if unit % columns == 0:
            axes.set_ylabel(plane.names[1])
        if unit + columns >= len(units):  # the lowest in its column
            axes.set_xlabel(plane.names[0])
            axes.tick_params(labelbottom=True)
    figure.colorbar(filled, cax=bar, orientation="horizontal", label="output of the unit")
    shown = "" if hidden.shape[1] <= MAX_UNITS else f" (the first {MAX_UNITS} of {hidden.shape[1]})"
    figure.suptitle(f"Hidden units{shown}")
    return figure
