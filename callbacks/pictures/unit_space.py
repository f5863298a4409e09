"""The samples as the last layer sees them: in the space of three hidden units."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
from torch import nn

from callbacks.pictures.base import Picture
from callbacks.pictures.network import array, class_names, dense_layers
from callbacks.pictures.plane import suits_plane
from callbacks.pictures.style import MARKERS, class_colors, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_UNITS = 5  # these have ten triples


class UnitSpace(Picture):
    """`fit/unit_space`: the samples by the outputs of three units of the last hidden layer, for every triple.

    In this space the last layer separates the classes with a plane.
    """

    how_to_read: ClassVar = {
        "fit/unit_space": "The samples by the outputs of three hidden units: where a plane can separate the colors, "
        "the last layer can separate the classes.",
    }
    only_at_end = True  # ten panels in three dimensions take a second

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        linears = [module for module in pl_module.modules() if isinstance(module, nn.Linear)]
        return suits_plane(data) and len(linears) > 1 and 3 <= linears[-1].in_features <= MAX_UNITS

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y, *_ = batch
        names = class_names(data, int(y.max()) + 1)
        hidden = array(dense_layers(pl_module, x)[-1][1])
        yield "fit/unit_space", draw_unit_space(hidden, array(y).astype(int), names)


def draw_unit_space(hidden: np.ndarray, labels: np.ndarray, classes: list[str]) -> Figure:
    """Outputs of units (N, H) and classes (N,), with one panel for each three of the units."""
    triples = list(combinations(range(hidden.shape[1]), 3))
    columns = min(len(triples), 2 if len(triples) == 4 else 3)
    rows = math.ceil(len(triples) / columns)
    side = 4.6 if len(triples) == 1 else 2.6
    height = side * rows + 0.8
    figure = new_figure(max(side * columns, 5.0), height, None)  # "constrained" does not see the z labels
    panels = figure.subplots(rows, columns, squeeze=False, subplot_kw={"projection": "3d"})
    figure.subplots_adjust(0.0, 0.45 / height, 0.95, 1 - 0.35 / height, 0.05, 0.0)
    for axes in panels.flat[len(triples) :]:
        axes.set_visible(False)
    for axes, triple in zip(panels.flat, triples, strict=False):
        for label, (name, color) in enumerate(zip(classes, class_colors(len(classes)), strict=True)):
            points = hidden[labels == label][:, triple].T
            style = {"c": color, "marker": MARKERS[label % len(MARKERS)], "label": name}
            axes.scatter(*points, s=16, edgecolors="white", linewidths=0.3, depthshade=False, **style)
        axes.set_box_aspect(None, zoom=0.84)
        axes.patch.set_visible(False)  # it would cover the label of the panel to the left
        axes.locator_params(nbins=3)
        axes.tick_params(pad=-2, labelsize="small")
        for axis, unit in zip("xyz", triple, strict=True):
            axes.set(**{f"{axis}label": f"unit {unit + 1}"})
            getattr(axes, f"{axis}axis").labelpad = 1 if axis == "z" else -3
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=len(names), markerscale=1.5)
    figure.suptitle("Space of three hidden units")
    return figure
