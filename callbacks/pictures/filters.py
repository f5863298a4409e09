"""The weights of the first layer, shown as images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
from torch import nn

from callbacks.diagnostics.probe import owns_parameters
from callbacks.pictures.base import Picture
from callbacks.pictures.forward import calls
from callbacks.pictures.images import diverging, has_images, mosaic, show, show_captioned
from callbacks.pictures.network import array, class_name
from callbacks.pictures.style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_FILTERS = 40


class Filters(Picture):
    """`filters/NN_layer`: the first layer's weights: each kernel of a convolution, or an image per dense unit.

    If one dense layer is the whole network, its units are the classes (one image for two classes: class 1 against
    class 0).
    """

    how_to_read: ClassVar = {
        "filters/*": "The weights of the first layer as images: blue is what a unit looks for, red what it rules "
        "out. A noisy image is a unit that has learned little.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return has_images(data)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x = batch[0][:2]
        layers = [call for call in calls(pl_module, x) if owns_parameters(call.module)]
        if not layers:
            return
        tag, first = f"filters/{layers[0].tag}", layers[0].module
        if isinstance(first, nn.Conv2d):
            kernels = array(first.weight).reshape(-1, *first.kernel_size)
            yield tag, draw_filters(kernels, "Kernels of the first layer")
        elif isinstance(first, nn.Linear) and first.in_features == x[0].numel():
            images = array(first.weight).reshape(-1, *x.shape[1:]).mean(1)
            if len(layers) > 1:
                yield tag, draw_filters(images, "Weights of the first layer's units")
            else:
                names = [class_name(data, label) for label in range(max(2, len(images)))]
                yield tag, draw_weights(images, names)


def draw_filters(kernels: np.ndarray, title: str) -> Figure:
    """Weights (N, H, W) of the first `MAX_FILTERS` units, all on one scale; 0 is white."""
    tiles = kernels[:MAX_FILTERS]
    columns = min(8, len(tiles))
    gap = max(1, tiles.shape[2] // 14)
    image = mosaic(tiles, columns, gap)
    width = 5.4
    figure = new_figure(width + 1.0, width * image.shape[0] / image.shape[1] + 0.7)
    axes = figure.subplots()
    shown = f", the first {len(tiles)} of {len(kernels)}" if len(tiles) < len(kernels) else ""
    # A few weights are far larger than all others; on their scale the others would be white.
    share, ends = (0.995, "both") if tiles.size > 1000 else (1.0, "neither")
    colored = show(axes, image, **diverging(tiles, share))
    figure.colorbar(colored, ax=axes, label="weight", extend=ends)
    figure.suptitle(title + shown)
    return figure


def draw_weights(images: np.ndarray, names: list[str]) -> Figure:
    """Evidence for each class (K, H, W); for two classes (1, H, W), for the second and against the first."""
    if len(images) == 1:
        figure = new_figure(5.2, 4.4)
        axes = figure.subplots()
        colored = show(axes, images[0], **diverging(images))
        label = f"weight (below 0 speaks for {names[0]}, above 0 for {names[1]})"
        figure.suptitle("Weight of each pixel")
    else:
        columns = min(5, len(images))
        figure = new_figure(7.2, 0.5 + 1.5 * -(-len(images) // columns))
        axes = figure.subplots()
        colored = show_captioned(axes, images, names, columns, **diverging(images))
        label = "weight"
        figure.suptitle("Weight of each pixel, for each class")
    figure.colorbar(colored, ax=axes, label=label)
    return figure
