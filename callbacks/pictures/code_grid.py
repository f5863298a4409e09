"""A code of two numbers: what the decoder makes of the points of its plane."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.pictures.base import Picture
from callbacks.pictures.codes import with_labels
from callbacks.pictures.images import INK, has_images, mosaic, pixels
from callbacks.pictures.network import codes_of, first_tensor, is_autoencoder
from callbacks.pictures.style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 12  # images in a row and in a column
SHARE = 0.96  # of the codes along each axis lies within the picture


class CodeGrid(Picture):
    """`code/grid`: images that the decoder makes of codes on a grid, in the place of their code.

    For a module with methods `encode` and `decode`, if a code has two numbers. The grid spans most of the codes of the
    validation batch.
    """

    how_to_read: ClassVar = {
        "code/grid": "The image of each point of the code's plane: next to each other lie images that the network "
        "finds similar. Compare it with the validation codes in `code/plane`, which has the same axes.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        decodes = callable(getattr(pl_module, "decode", None))
        return has_images(data) and is_autoencoder(pl_module) and decodes

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, _ = with_labels(batch)
        if codes_of(pl_module, x[:2]).shape[1] != 2:
            return
        ends = np.quantile(codes_of(pl_module, x), [(1 - SHARE) / 2, (1 + SHARE) / 2], axis=0)  # (2, 2)
        images = first_tensor(pl_module.decode(grid(ends, x)))
        if images.ndim == 4:
            yield "code/grid", draw_grid(pixels(images, float(x.min()), float(x.max())), ends)


def grid(ends: np.ndarray, like: Tensor) -> Tensor:
    """Codes (SIDE * SIDE, 2) row by row as in a picture: the first number rises to the right, the second upwards.

    Args:
        ends: smallest (2,) and largest (2,) code.
        like: has the device and the precision.
    """
    first, second = (np.linspace(low, high, SIDE) for low, high in ends.T)
    rows = [(right, up) for up in second[::-1] for right in first]
    return torch.tensor(rows).to(like)


def draw_grid(images: np.ndarray, ends: np.ndarray) -> Figure:
    """Images (SIDE * SIDE, H, W) or (SIDE * SIDE, H, W, 3), over the codes from `ends[0]` to `ends[1]`."""
    half = (ends[1] - ends[0]) / (SIDE - 1) / 2  # the image of a code is around it
    (left, bottom), (right, top) = ends[0] - half, ends[1] + half
    figure = new_figure(5.8, 5.8)
    axes = figure.subplots()
    place: dict[str, Any] = {"extent": (left, right, bottom, top), "aspect": "auto"}
    axes.imshow(mosaic(images, SIDE, gap=0), cmap=INK, vmin=0, vmax=1, interpolation="nearest", **place)
    axes.set(xlabel="code 1", ylabel="code 2")
    axes.spines[:].set_visible(False)
    figure.suptitle("The decoder over the plane of the code")
    return figure
