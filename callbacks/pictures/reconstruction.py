"""What an autoencoder restores: each image above its reconstruction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl

from callbacks.pictures.base import Picture
from callbacks.pictures.codes import with_labels
from callbacks.pictures.images import (
    INK,
    diverging,
    first_of_each_class,
    has_images,
    show_captioned,
)
from callbacks.pictures.network import array, first_tensor, is_autoencoder
from callbacks.pictures.style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_IMAGES = 10


class Reconstruction(Picture):
    """`reconstruction/images`: images, their reconstructions, and the difference."""

    how_to_read: ClassVar = {
        "reconstruction/images": "Images, what the code keeps of them, and the difference: red is ink that was lost, "
        "blue is ink that was added.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return has_images(data) and is_autoencoder(pl_module)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y = with_labels(batch)
        x = x[first_of_each_class(y, NUM_IMAGES)]
        restored = first_tensor(pl_module(x))
        if restored.shape == x.shape:  # else `encode` is of another kind of network
            yield "reconstruction/images", draw_reconstruction(array(x).mean(1), array(restored).mean(1))


def draw_reconstruction(images: np.ndarray, restored: np.ndarray) -> Figure:
    """From top to bottom: images (N, H, W), reconstructions (N, H, W) on the same scale, differences with mean square."""
    count, height = len(images), images.shape[1]
    difference = restored - images
    errors = [f"{error:.4f}" for error in np.square(difference).mean((1, 2))]
    one_scale = {"cmap": INK, "vmin": float(images.min()), "vmax": float(images.max())}
    rows = {
        "image": (images, [""] * count, one_scale),
        "restored": (restored, [""] * count, one_scale),
        "difference\nand mse": (difference, errors, diverging(difference, 0.998)),
    }
    figure = new_figure(7.0, 2.9)
    for axes, (name, (tiles, texts, colors)) in zip(figure.subplots(3, 1), rows.items(), strict=True):
        drawn = show_captioned(axes, tiles, texts, count, **colors)
        figure.colorbar(
            drawn, ax=axes, aspect=6, pad=0.01, extend="both" if tiles is difference else "neither"
        )
        axes.text(-0.1 * height, 0.7 * height, name, ha="right", va="center")
    figure.suptitle("Images and what the code restores of them")
    return figure
