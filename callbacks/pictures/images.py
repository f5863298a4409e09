"""What pictures of images share: which data are images, and how to put many small images into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from callbacks.data_spec import spec_of
from callbacks.pictures.network import array, is_autoencoder
from callbacks.pictures.style import DIVERGING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "gray_r"  # dark on white, as on paper


def has_images(data: Any) -> bool:
    """Whether one sample has the shape (C, H, W)."""
    return len(spec_of(data).in_shape) == 3


def is_image_classifier(pl_module: pl.LightningModule, data: Any) -> bool:
    """Whether the task is to classify images."""
    classifies = spec_of(data).task in ("binary", "multiclass")
    return classifies and has_images(data) and not is_autoencoder(pl_module)


def ink(images: Tensor) -> np.ndarray:
    """Images (N, C, H, W), normalized in any way, each from 0 (its darkest pixel) to 1.

    With colors (N, H, W, 3) if there are three channels, else their mean (N, H, W).
    """
    values = array(images)
    values = values.transpose(0, 2, 3, 1) if images.shape[1] == 3 else values.mean(1)
    axes = tuple(range(1, values.ndim))
    low, high = (edge(values, axis=axes, keepdims=True) for edge in (np.min, np.max))
    return (values - low) / np.maximum(high - low, 1e-12)


def pixels(images: Tensor, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Images (N, C, H, W) from 0 to 1: with colors (N, H, W, 3) if there are three channels, else their mean (N, H, W).

    Args:
        images: see above.
        low: what becomes 0; default: the smallest value of all images.
        high: what becomes 1; default: the largest.
    """
    values = array(images)
    values = values.transpose(0, 2, 3, 1) if images.shape[1] == 3 else values.mean(1)
    low, high = float(values.min()) if low is None else low, float(values.max()) if high is None else high
    return np.clip((values - low) / max(high - low, 1e-12), 0, 1)


def first_of_each_class(y: Tensor, count: int) -> list[int]:
    """Rows (count,) of a batch: the first of each class, then the second of each, and so on."""
    if y.numel() > len(y):  # no single class: the first samples
        return list(range(min(count, len(y))))
    labels = y.flatten().tolist()
    seen: dict[int, int] = {}
    places = []
    for row, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        places.append((seen[label], label, row))
    return [row for _, _, row in sorted(places)[:count]]


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1, head: int = 0) -> np.ndarray:
    """Tiles (N, H, W), row by row, in one image; the gaps between them are NaN, which is drawn white.

    Tiles with colors (N, H, W, 3) have gaps of 1, which is white.

    Args:
        tiles: see above.
        columns: tiles per row.
        gap: pixels between two tiles.
        head: pixels above each row of tiles, for captions.
    """
    count, height, width, *colors = tiles.shape
    size = -(-count // columns) * (height + gap + head) - gap, columns * (width + gap) - gap
    image = np.full((*size, *colors), 1.0 if colors else np.nan)
    for index, tile in enumerate(tiles):
        top, left = corner(index, tiles, columns, gap, head)
        image[top : top + height, left : left + width] = tile
    return image


def corner(index: int, tiles: np.ndarray, columns: int, gap: int, head: int) -> tuple[int, int]:
    """First row and column of a tile in the mosaic."""
    height, width = tiles.shape[1:3]
    return (index // columns) * (height + gap + head) + head, (index % columns) * (width + gap)


def show(axes: Axes, image: np.ndarray, **options: Any) -> Any:
    """Show an image (H, W) or (H, W, 3) without axes around it; every pixel is a square."""
    axes.set_axis_off()
    return axes.imshow(image, interpolation="nearest", aspect="equal", **options)


def show_captioned(
    axes: Axes,
    tiles: np.ndarray,
    texts: list[str],
    columns: int,
    colors: list[str] | None = None,
    **options: Any,
) -> Any:
    """A mosaic of tiles (N, H, W) or (N, H, W, 3) with a text of one or more lines above each."""
    width = tiles.shape[2]
    gap, head = spacing(tiles, max((text.count("\n") + 1 for text in texts), default=1))
    drawn = show(axes, mosaic(tiles, columns, gap, head), **options)
    for index, text in enumerate(texts):
        top, left = corner(index, tiles, columns, gap, head)
        color = colors[index] if colors else "black"
        axes.text(left + (width - 1) / 2, top - 1, text, color=color, ha="center", va="bottom", fontsize=10)
    return drawn


def spacing(tiles: np.ndarray, lines: int = 1) -> tuple[int, int]:
    """Pixels between two tiles (N, H, W, ...), and above each for a text of some lines."""
    height, width = tiles.shape[1:3]
    return max(1, width // 9), round(height * 0.17 * lines) + 1


def diverging(values: np.ndarray, share: float = 1.0) -> dict[str, Any]:
    """Colors with 0 in the middle, in white; the ends are set so that `share` of all values, by size, is within them."""
    limit = max(float(np.quantile(np.abs(values), share)), 1e-12)
    return {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}
