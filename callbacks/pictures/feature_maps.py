"""What a convolutional network turns an image into, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
from torch import Tensor, nn

from callbacks.layer_labels import layer_label
from callbacks.pictures.base import Picture
from callbacks.pictures.forward import Call, calls
from callbacks.pictures.images import INK, first_of_each_class, has_images, ink, mosaic, show
from callbacks.pictures.network import array
from callbacks.pictures.style import SEQUENTIAL, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUM_IMAGES = 3
MAX_BLOCKS = 4
MAX_CHANNELS = 16
PANEL = 1.75  # inches from one column to the next


class FeatureMaps(Picture):
    """`feature_maps/blocks`: the first channels of each block's output, next to the input image."""

    how_to_read: ClassVar = {
        "feature_maps/blocks": "The same images after each block: first outlines, then coarser and fewer traces; a "
        "map that is dark for every image says nothing about them.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return has_images(data) and any(isinstance(module, nn.Conv2d) for module in pl_module.modules())

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x = batch[0][first_of_each_class(batch[1], NUM_IMAGES)]
        blocks = block_outputs(calls(pl_module, x))[:MAX_BLOCKS]
        maps = {tag: array(output[:, :MAX_CHANNELS]) for tag, output in blocks}
        totals = [output.shape[1] for _, output in blocks]
        names = {tag: layer_label(pl_module, tag) for tag in maps}
        yield "feature_maps/blocks", draw_feature_maps(ink(x), maps, totals, names)


def block_outputs(passed: list[Call]) -> list[tuple[str, Tensor]]:
    """The tag of a convolution, and its output (N, C, H, W) in the form that the next layer reads.

    A block ends where the image becomes smaller; if it never does, every convolution is a block.
    """
    found: list[tuple[str, Tensor, Tensor]] = []
    for call in passed:
        if isinstance(call.module, nn.Conv2d):
            found.append((call.tag, call.inputs, call.output))
        elif isinstance(call.module, nn.Linear | nn.ConvTranspose2d):
            break
        elif found and call.output.ndim == 4 and call.output.shape[1] == found[-1][2].shape[1]:
            found[-1] = (*found[-1][:2], call.output)
    smaller = [(tag, output) for tag, inputs, output in found if output.shape[-1] < inputs.shape[-1]]
    return smaller or [(tag, output) for tag, _, output in found]


def draw_feature_maps(
    images: np.ndarray, maps: dict[str, np.ndarray], totals: list[int], names: dict[str, str]
) -> Figure:
    """Images in a column; next to them the maps (N, C, h, w) of each block, each block with its own scale.

    Args:
        images: (N, H, W) or with colors (N, H, W, 3).
        maps: by name of the block.
        totals: channels of each block; not all of them may be drawn.
        names: what each block's layer is called in plain words.
    """
    image = stack(list(images))
    width, side, foot, head = PANEL * (1 + len(maps)), 0.9 * PANEL, 0.8, 1.3  # all in inches
    tall = side * image.shape[0] / image.shape[1]
    whole = foot + tall + head
    figure = new_figure(width, whole, layout=None)  # the panels' shapes are known

    def panel(column: int, bottom: float, height: float) -> Axes:
        left = (column * PANEL + (PANEL - side) / 2) / width
        return figure.add_axes((left, bottom / whole, side / width, height / whole))

    first = panel(0, foot, tall)
    show(first, image, cmap=INK)
    first.set_title("image")
    for column, ((tag, outputs), total) in enumerate(zip(maps.items(), totals, strict=True), start=1):
        channels, rows, columns = outputs.shape[1:]
        tiles = [mosaic(output, math.ceil(math.sqrt(channels)), max(1, columns // 7)) for output in outputs]
        axes = panel(column, foot, tall)
        colored = show(axes, stack(tiles), cmap=SEQUENTIAL)
        drawn = f"{channels} of {total}" if channels < total else f"{total}"
        axes.set_title(f"{names[tag]}\n{tag}\n{drawn} maps\n{rows} x {columns} pixels")
        figure.colorbar(
            colored, cax=panel(column, foot - 0.2, 0.12), orientation="horizontal", label="output"
        )
    figure.suptitle("Feature maps of each block")
    return figure


def stack(images: list[np.ndarray]) -> np.ndarray:
    """Images (H, W), or with colors (H, W, 3), in a column, an eighth of their height apart."""
    height, *rest = images[0].shape
    gap = np.full((max(1, round(0.12 * height)), *rest), 1.0 if len(rest) > 1 else np.nan)  # white
    return np.vstack([part for image in images for part in (image, gap)][:-1])
