"""How accuracy falls when images are rotated, shifted or noisy, although the network never saw such images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.images import is_image_classifier
from callbacks.pictures.network import accuracy
from callbacks.pictures.style import BLUE, GRAY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_IMAGES = 512
DEGREES = (0, 10, 20, 30, 45, 60, 90)
PIXELS = (0, 1, 2, 3, 4, 6, 8)
NOISE = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


class Robustness(Picture):
    """`robustness/accuracy`: accuracy on validation images that are rotated, shifted or noisy.

    Every second image is rotated clockwise, the others counterclockwise. Of every four images one is shifted down, one
    up, one right and one left. Noise is normal, with a deviation in units of the range from black to white; pixels are
    limited to this range.
    """

    how_to_read: ClassVar = {
        "robustness/accuracy": "The accuracy on rotated, shifted or noisy images, which the network never saw; where "
        "the band reaches the dashed line, it only guesses.",
    }
    one_class_per_sample = True
    only_at_end = True  # it runs the network 21 times

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return is_image_classifier(pl_module, data)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y = (part[:NUM_IMAGES] for part in batch)
        pixels, prepare = as_pixels(data, x)

        def measure(change: Callable[[Tensor, float], Tensor], amounts: Iterable[float]) -> list[float]:
            changed = (prepare(change(pixels, amount)) for amount in amounts)
            return [accuracy(pl_module, spec_of(data).task, images, y) for images in changed]

        curves = {
            "rotation (degrees)": (DEGREES, measure(turn, DEGREES)),
            "shift (pixels)": (PIXELS, measure(shift, PIXELS)),
            "noise (deviation)": (NOISE, measure(add_noise, NOISE)),
        }
        yield "robustness/accuracy", draw_robustness(curves, 1 / num_classes(data), len(y))


def num_classes(data: Any) -> int:
    """How many classes there are."""
    return max(2, spec_of(data).out_features)


def as_pixels(data: Any, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Network inputs (N, C, H, W) as pixels from 0 to 1, and the function that turns pixels back into inputs.

    The data module's statistics are removed; then each image's darkest pixel is 0 and its brightest 1. If each image
    was normalized by itself, the way back uses the mean and the deviation of the undisturbed image.
    """
    statistics = getattr(data, "statistics", {})
    mean = torch.as_tensor(statistics.get("input_mean", 0.0)).to(x)
    std = torch.as_tensor(statistics.get("input_std", 1.0)).to(x)
    raw = x * std + mean
    low, high = raw.amin((1, 2, 3), keepdim=True), raw.amax((1, 2, 3), keepdim=True)
    span = (high - low).clamp(min=1e-12)
    return (raw - low) / span, lambda pixels: (pixels * span + low - mean) / std


def turn(pixels: Tensor, degrees: float) -> Tensor:
    """Rotate each image (N, C, H, W) about its center with bilinear interpolation; new pixels are black."""
    signs = 1 - 2 * (torch.arange(len(pixels)) % 2)
    angle = torch.deg2rad(signs * float(degrees))
    zero = torch.zeros_like(angle)
    rows = [angle.cos(), angle.sin(), zero, -angle.sin(), angle.cos(), zero]
    grid = F.affine_grid(
        torch.stack(rows, 1).view(-1, 2, 3).to(pixels), list(pixels.shape), align_corners=False
    )
    return F.grid_sample(pixels, grid, align_corners=False)


def shift(pixels: Tensor, distance: float) -> Tensor:
    """Move each image (N, C, H, W) by whole pixels; new pixels are black."""
    far = int(distance)
    height, width = pixels.shape[-2:]
    padded = F.pad(pixels, [far] * 4)
    moves = [(far, 0), (-far, 0), (0, far), (0, -far)]
    moved = torch.empty_like(pixels)
    for first, (down, right) in enumerate(moves):
        rows, columns = slice(far - down, far - down + height), slice(far - right, far - right + width)
        moved[first::4] = padded[first::4, :, rows, columns]
    return moved


def add_noise(pixels: Tensor, deviation: float) -> Tensor:
    """Add normal noise to each pixel, the same at each call."""
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0)).to(pixels)
    return (pixels + deviation * noise).clamp(0, 1)


def draw_robustness(
    curves: Mapping[str, tuple[Iterable[float], list[float]]], chance: float, num_images: int
) -> Figure:
    """Accuracy against the amount of each disturbance, with its 95 % interval for this number of images (Wilson 1927,
    https://doi.org/10.2307/2276774).
    """
    from scipy.stats import binomtest

    figure = new_figure(6.8, 3.2)
    panels = figure.subplots(1, len(curves), sharey=True)
    for axes, (label, (amounts, shares)) in zip(panels, curves.items(), strict=True):
        x, y = np.asarray(list(amounts)), np.asarray(shares)
        hits = [round(share * num_images) for share in shares]
        limits = [binomtest(hit, num_images).proportion_ci(method="wilson") for hit in hits]
        low, high = zip(*limits, strict=True)
        axes.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0, label="95 % interval")
        axes.plot(x, y, marker="o", color=BLUE, label="accuracy")
        axes.axhline(chance, color=GRAY, linestyle="--", linewidth=1.2, label="guessing")
        axes.set(xlabel=label, xticks=x[::2], ylim=(0, 1.02))
        axes.grid()
    panels[0].set_ylabel("accuracy")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"Accuracy on {num_images} disturbed validation images")
    return figure
