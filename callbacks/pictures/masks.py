"""Segmentation: images, the true class of each pixel, and the predicted one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.hardest import percent
from callbacks.pictures.images import INK, has_images, mosaic, pixels, show_captioned, spacing
from callbacks.pictures.network import class_name
from callbacks.pictures.style import BLACK, mask_colors, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUM_IMAGES = 6
MAX_NAMES = 11  # of classes in the legend


class Masks(Picture):
    """`fit/masks`: images, their true masks, and the predicted masks with the outlines of the true ones.

    For images (N, C, H, W) with a class for each pixel, (N, H, W) or (N, 1, H, W), also of data that do not name their
    task. Pixels of a negative class have no label.
    """

    how_to_read: ClassVar = {
        "fit/masks": "Where the predicted colors do not fill the black outlines of the true masks, the network is "
        "wrong; above each is the share of pixels that are right. Black areas of a true mask have no label.",
    }
    needs_batch = False  # without one nothing is drawn, and nothing needs to be said

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        task = spec_of(data).task
        return not task or (task in ("binary", "multiclass") and has_images(data))

    def suits_batch(self, data: Any, batch: Any) -> bool:
        return has_masks(batch, spec_of(data).task)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y, spec = batch[0][:NUM_IMAGES], batch[1][:NUM_IMAGES], spec_of(data)
        predicted = predicted_masks(pl_module(x), x.shape[2:], spec.task)
        if predicted is not None:
            truth = y.reshape(predicted.shape).long().cpu().numpy()
            count = max(2, spec.out_features, int(truth.max()) + 1, int(predicted.max()) + 1)
            names = [class_name(data, label) for label in range(count)]
            yield "fit/masks", draw_masks(pixels(x), truth, predicted.cpu().numpy(), names)


def has_masks(batch: Any, task: str) -> bool:
    """Whether a batch begins with images and a class for each of their pixels."""
    parts = batch[:2] if isinstance(batch, list | tuple) else ()
    if len(parts) < 2 or not all(isinstance(part, Tensor) for part in parts):
        return False
    x, y = parts
    of_pixels = x.ndim == 4 and y.shape in ((len(x), *x.shape[2:]), (len(x), 1, *x.shape[2:]))
    return of_pixels and (task == "binary" or not y.is_floating_point())


def predicted_masks(output: Any, size: Sequence[int], task: str) -> Tensor | None:
    """The most probable class of each pixel (N, H, W); None if the output is something else.

    Args:
        output: logits (N, K, H, W) or (N, H, W, K); of a binary task (N, 1, H, W), (N, H, W) or (N, H, W, 1).
        size: H and W.
        task: of the data; empty if unknown.
    """
    if not isinstance(output, Tensor):
        return None
    shape, size = tuple(output.shape[1:]), tuple(size)
    if task == "binary" and shape in (size, (1, *size), (*size, 1)):
        return (output.reshape(len(output), *size) > 0).long()
    if len(shape) == 3 and shape[1:] == size:
        return output.argmax(1)
    return output.argmax(-1) if len(shape) == 3 and shape[:2] == size else None


def shares_right(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N,): of the pixels that have a label, the share whose class was predicted; NaN if none has one."""
    labeled = truth >= 0
    right = ((truth == predicted) & labeled).sum((1, 2))
    return np.where(labeled.any((1, 2)), right / np.maximum(labeled.sum((1, 2)), 1), np.nan)


def draw_masks(images: np.ndarray, truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Figure:
    """Three rows: images, true masks, and predicted masks with the outlines of the true ones.

    Args:
        images: (N, H, W) or, with colors, (N, H, W, 3), from 0 to 1.
        truth: (N, H, W), negative where there is no label.
        predicted: (N, H, W).
        names: of the classes 0, 1, ...
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    colors = mask_colors(len(names))
    of_classes: dict[str, Any] = {
        "cmap": ListedColormap([BLACK, *colors]),
        "vmin": -1.5,
        "vmax": len(names) - 0.5,
    }
    shares = ["" if np.isnan(share) else percent(share) for share in shares_right(truth, predicted)]
    count = len(images)
    figure = new_figure(max(4.0, 1.0 * count + 0.8), 4.3)
    rows = figure.subplots(3, 1)
    show_captioned(rows[0], images, [""] * count, count, cmap=INK, vmin=0, vmax=1)
    show_captioned(rows[1], np.maximum(truth, -1).astype(float), [""] * count, count, **of_classes)
    show_captioned(rows[2], predicted.astype(float), shares, count, **of_classes)
    draw_outlines(rows[2], truth, len(names))
    for axes, name in zip(rows, ("image", "true", "predicted"), strict=True):
        axes.text(-0.01, 0.45, name, transform=axes.transAxes, ha="right", va="center")
    present = [label for label in range(len(names)) if label in truth or label in predicted]
    keys = [Patch(color=colors[label], label=names[label]) for label in present[:MAX_NAMES]]
    if (truth < 0).any():
        keys.append(Patch(color=BLACK, label="no label"))
    figure.legend(handles=keys, loc="outside lower center", ncols=min(5, len(keys)))
    figure.suptitle("Masks")
    return figure


def draw_outlines(axes: Axes, truth: np.ndarray, num_classes: int) -> None:
    """Outline each class of masks (N, H, W) that are shown side by side."""
    for label in range(1, num_classes):
        inside = mosaic((truth == label).astype(float), len(truth), *spacing(truth))
        if np.nanmax(inside) > np.nanmin(inside):
            axes.contour(inside, levels=[0.5], colors=BLACK, linewidths=0.9)
