"""Predictions that are no columns of a table: masks and images as PNG files, other arrays as NumPy files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.ImageColor import getrgb

from callbacks.pictures.style import mask_colors

FOLDER = "predictions"  # next to predictions.csv
MAX_COLUMNS = 128  # of one value; a row with more numbers is no row of a table
Cells = list[np.ndarray]  # one array for each row, not necessarily of the same shape
Scale = tuple[float, float]  # the values of black and of white


def as_cells(column: Any) -> Any:
    """A tensor (N, ...) with too many numbers for the columns of a table, as one array for each row; others unchanged.

    Masks of at most 256 classes take two bytes for each pixel, because all of them are kept until the last batch.
    """
    if isinstance(column, list) or not len(column) or column[0].numel() <= MAX_COLUMNS:
        return column
    values = column.numpy()
    if is_mask(values[0]) and values.dtype != np.uint8 and values.min() >= 0 and values.max() <= 255:
        values = values.astype(np.int16)
    return list(values)


def is_cells(column: Any) -> bool:
    """Whether each row is an array."""
    return isinstance(column, list) and bool(column) and isinstance(column[0], np.ndarray)


def is_mask(cell: np.ndarray) -> bool:
    """Whether it is a class for each pixel, (H, W) or (1, H, W)."""
    has_classes = cell.dtype.kind in "bi" or (cell.dtype == np.uint8 and cell.ndim == 2)
    return has_classes and (cell.ndim == 2 or (cell.ndim == 3 and cell.shape[0] == 1))


def is_image(cell: np.ndarray) -> bool:
    """Whether it is an image in gray (1, H, W) or in color (3, H, W), of real numbers or bytes."""
    return cell.ndim == 3 and cell.shape[0] in (1, 3) and (cell.dtype.kind == "f" or cell.dtype == np.uint8)


def are_images(name: str, cells: Cells) -> bool:
    """Whether all cells can be PNG files; probabilities stay numbers, also if there are three."""
    if all(map(is_mask, cells)):
        return all(cell.min() >= 0 and cell.max() <= 255 for cell in cells)
    return all(map(is_image, cells)) and "probability" not in name


def write_images(folder: Path, stem: str, cells: Cells, ids: Sequence[Any], scale: Scale | None) -> list[str]:
    """Write masks (with the class as the index of a color) or images as `predictions/<stem>_<id>.png`.

    Args:
        folder: of the table.
        stem: of the names; see `file_stem`.
        cells: the images.
        ids: of the rows, see `distinct`.
        scale: see `scale_of`.

    Returns:
        The names of the files.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    names = [f"{FOLDER}/{stem}_{each}.png" for each in distinct(ids)]
    for cell, name in zip(cells, names, strict=True):
        (mask_image(cell) if is_mask(cell) else gray_or_color(cell, scale)).save(folder / name)
    return names


def distinct(ids: Sequence[Any]) -> list[str]:
    """Ids as parts of file names, numbers with zeros in front; the numbers of the rows if two would be the same."""
    if all(isinstance(each, int) for each in ids):
        width = max(len(str(each)) for each in ids)
        words = [str(each).zfill(width) for each in ids]
    else:
        words = [file_stem(str(each)) for each in ids]
    return words if len(set(words)) == len(words) else distinct(range(len(ids)))


def mask_image(cell: np.ndarray) -> Image.Image:
    """A mask as an image with a palette: a pixel's value is its class."""
    image = Image.fromarray(cell.reshape(cell.shape[-2:]).astype(np.uint8))
    image.putpalette([value for color in mask_colors(256) for value in getrgb(color)])
    return image


def gray_or_color(cell: np.ndarray, scale: Scale | None) -> Image.Image:
    """An image (1, H, W) or (3, H, W); NaN is black."""
    if scale is not None:
        low, high = scale
        share = (np.nan_to_num(cell.astype(np.float64), nan=low) - low) / max(high - low, 1e-12)
        cell = np.round(255 * share.clip(0, 1)).astype(np.uint8)
    return Image.fromarray(cell[0] if len(cell) == 1 else cell.transpose(1, 2, 0))


def scale_of(cells: Cells) -> Scale | None:
    """What becomes black and what becomes white: 0 and 1 if all values lie between, else the smallest and the largest.

    None for masks and bytes, which stay as they are.
    """
    if cells[0].dtype.kind != "f":
        return None
    finite = [cell[np.isfinite(cell)] for cell in cells]
    low = min((float(values.min()) for values in finite if values.size), default=0.0)
    high = max((float(values.max()) for values in finite if values.size), default=1.0)
    return (0.0, 1.0) if low >= -1e-3 and high <= 1 + 1e-3 else (low, high)


def in_words(scale: Scale | None) -> str:
    """What is black and what is white, unless that needs no words."""
    if scale is None or scale == (0.0, 1.0):
        return ""
    return f", {scale[0]:.4g} is black, {scale[1]:.4g} is white"


def write_array(folder: Path, stem: str, cells: Cells) -> tuple[int, ...]:
    """Write cells of one shape as `predictions/<stem>.npy`; returns its shape (N, ...)."""
    (folder / FOLDER).mkdir(exist_ok=True)
    whole = np.stack(cells)
    np.save(folder / FOLDER / f"{stem}.npy", whole, allow_pickle=False)
    return whole.shape


def file_stem(name: str) -> str:
    """The name of a column without characters that cannot be part of a file's name, such as a slash."""
    return re.sub(r"[^\w.-]+", "_", name)


def is_odd(name: str, columns: Sequence[Any]) -> bool:
    """Whether the arrays of a column can be neither images nor one array, because their shapes differ."""
    cells = [cell for column in columns if is_cells(column) for cell in column]
    return len({cell.shape for cell in cells}) > 1 and not are_images(name, cells)
