"""What a generative model draws: images or points next to real ones, or texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.pictures.base import Picture
from callbacks.pictures.codes import principal_axes
from callbacks.pictures.images import INK, mosaic, pixels, show
from callbacks.pictures.network import array, offers
from callbacks.pictures.style import BLUE, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_IMAGES, COLUMNS = 32, 8
NUM_POINTS = 1000
NUM_TEXTS = 8


class Samples(Picture):
    """`samples/images`, `samples/points`: what a generative model draws, next to validation data of the same shape.

    For a module with a method `sample(num_samples)` that returns images (N, C, H, W), or points (N, D) on the scale of
    the network's inputs. The random numbers are the same each time, so that the same noise is seen to become better.
    """

    how_to_read: ClassVar = {
        "samples/images": "Left, what the network draws, right, real images. The same noise is drawn from each time.",
        "samples/points": "Left, what the network draws, right, real points: the two clouds should be equally dense "
        "at the same places.",
    }
    needs_batch = False

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return offers(pl_module, "sample")

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        made = seeded(pl_module, "sample", NUM_IMAGES)
        if made.ndim == 4:
            yield "samples/images", draw_images(made, real_like(made, batch))
        elif made.ndim == 2:
            made = seeded(pl_module, "sample", NUM_POINTS)
            yield "samples/points", draw_points(array(made), real_like(made, batch))
        else:
            raise ValueError(
                f"sample() returns {list(made.shape)}; a picture needs images (N, C, H, W) or points (N, D)"
            )


class Texts(Picture):
    """`samples/text`: what a language model writes.

    For a module with a method `sample_text(num_samples)` that returns texts. The random numbers are the same each time.
    """

    how_to_read: ClassVar = {
        "samples/text": "What the network writes when it starts from nothing, with the same random numbers each time.",
    }
    needs_batch = False

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return offers(pl_module, "sample_text")

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, str]]:
        texts = [str(text).strip() for text in seeded(pl_module, "sample_text", NUM_TEXTS)]
        between = "\n\n" if any("\n" in text for text in texts) else "\n"
        yield "samples/text", between.join(texts)


def seeded(pl_module: pl.LightningModule, method: str, num_samples: int) -> Any:
    """What the method returns; random states are restored after a picture."""
    torch.manual_seed(0)
    return getattr(pl_module, method)(num_samples=num_samples)


def real_like(made: Tensor, batch: Any) -> Tensor | None:
    """The first part of a batch whose rows have the shape of the samples, as many as there are samples."""
    parts = batch if isinstance(batch, list | tuple) else [batch]
    for part in parts:
        if isinstance(part, Tensor) and part.shape[1:] == made.shape[1:]:
            return part[: len(made)]
    return None


def draw_images(made: Tensor, real: Tensor | None) -> Figure:
    """Generated images (N, C, H, W) and, on their scale, real ones (M, C, H, W)."""
    scale = made if real is None else real
    low, high = float(scale.min()), float(scale.max())
    panels = {"generated": made} if real is None else {"generated": made, "real": real}
    figure = new_figure(3.9 * len(panels), 2.6)
    for axes, (name, images) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        show(axes, mosaic(pixels(images, low, high), COLUMNS), cmap=INK, vmin=0, vmax=1)
        axes.set_title(name)
    figure.suptitle("Samples")
    return figure


def draw_points(made: np.ndarray, real: Tensor | None) -> Figure:
    """Generated points (N, D) and real ones (M, D), in panels of the same axes.

    Of more than two numbers, the two principal components of the real points; of one, a histogram.
    """
    clouds = {"generated": made} if real is None else {"generated": made, "real": array(real)}
    colors = {"generated": VERMILION, "real": BLUE}
    names = ["x1", "x2"]
    if made.shape[1] > 2:
        center, axes_of_plane, _ = principal_axes(list(clouds.values())[-1])
        clouds = {name: (points - center) @ axes_of_plane.T for name, points in clouds.items()}
        names = ["principal component 1", "principal component 2"]
    figure = new_figure(3.9 * len(clouds), 3.9)
    panels = figure.subplots(1, len(clouds), squeeze=False, sharex=True, sharey=True)[0]
    for panel, (name, points) in zip(panels, clouds.items(), strict=True):
        if points.shape[1] == 1:
            panel.hist(points[:, 0], bins=40, density=True, color=colors[name])
            panel.set(title=name, xlabel="x", ylabel="density")
        else:
            panel.scatter(*points.T, s=6, color=colors[name], alpha=0.5, linewidths=0)
            panel.set(title=name, xlabel=names[0], ylabel=names[1], aspect="equal")
        panel.grid(alpha=0.3)
    figure.suptitle("Samples")
    return figure
