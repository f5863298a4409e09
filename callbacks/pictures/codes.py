"""The codes of an autoencoder: the plane of the codes, and which codes are neighbors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.pictures.base import Picture
from callbacks.pictures.images import (
    INK,
    first_of_each_class,
    has_images,
    ink,
    show_captioned,
)
from callbacks.pictures.network import array, class_name, codes_of, is_autoencoder
from callbacks.pictures.style import BLUE, MANY_COLORS, MARKERS, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_QUERIES = 6
NUM_NEIGHBORS = 5


class Codes(Picture):
    """`code/plane`: the codes in two dimensions, colored by class: themselves, or their first two principal components.

    `code/neighbors`: query images and those whose codes have the largest cosine to theirs.
    """

    how_to_read: ClassVar = {
        "code/plane": "The codes, or the two directions in which they vary most: classes that lie apart here are apart "
        "in the code, and classes that overlap here may still be apart in other directions, if there are any.",
        "code/neighbors": "The images whose codes point most nearly in the query's direction; the nearer the cosine "
        "is to 1, the more similar the codes.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return has_images(data) and is_autoencoder(pl_module)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y = with_labels(batch)
        codes, labels = codes_of(pl_module, x), array(y).astype(int)
        names = [class_name(data, label) for label in range(labels.max() + 1)]
        if codes.shape[1] == 2:
            yield "code/plane", draw_plane(codes, ("code 1", "code 2"), labels, names)
        elif min(codes.shape) > 1:
            points, shares = principal_plane(codes)
            axes = [
                f"principal component {k} ({share:.0%} of the variance)" for k, share in enumerate(shares, 1)
            ]
            yield "code/plane", draw_plane(points, (axes[0], axes[1]), labels, names)
        queries = np.asarray(first_of_each_class(y, NUM_QUERIES))
        rows, cosines = nearest_codes(codes, queries)
        images = ink(x[torch.from_numpy(np.column_stack([queries, rows])).flatten().tolist()])
        shown = labels[np.column_stack([queries, rows])]
        yield (
            "code/neighbors",
            draw_neighbors(images.reshape(*shown.shape, *images.shape[1:]), shown, cosines),
        )


def with_labels(batch: Any) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) and their classes (N,); all 0 if the batch has none."""
    x, y = batch[:2] if isinstance(batch, list | tuple) and len(batch) > 1 else (batch, None)
    x = x[0] if isinstance(x, list | tuple) else x
    if isinstance(y, Tensor) and y.numel() == len(y) and not y.is_floating_point():
        return x, y.flatten()
    return x, torch.zeros(len(x), dtype=torch.long)


def principal_plane(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, D) projected on the two directions of greatest variance (N, 2), and their shares of the variance (2,)."""
    center, directions, shares = principal_axes(codes)
    return (codes - center) @ directions.T, shares


def principal_axes(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean (D,) of codes (N, D), the two directions of greatest variance (2, D) and their shares of it (2,).

    The sign of a direction is chosen so that its largest entry is positive.
    """
    center = codes.mean(0)
    _, lengths, directions = np.linalg.svd(codes - center, full_matrices=False)
    directions = directions[:2]
    largest = np.abs(directions).argmax(1)
    directions = directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
    return center, directions, (lengths**2 / max(np.square(lengths).sum(), 1e-300))[:2]


def nearest_codes(codes: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of the rows `queries` (Q,), the rows (Q, k) with the largest cosines (Q, k), without the query."""
    directions = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-300)
    cosines = directions[queries] @ directions.T
    cosines[np.arange(len(queries)), queries] = -np.inf
    rows = np.argsort(-cosines, axis=1, kind="stable")[:, : min(NUM_NEIGHBORS, len(codes) - 1)]
    return rows, np.take_along_axis(cosines, rows, axis=1)


def draw_plane(
    points: np.ndarray, axis_names: tuple[str, str], labels: np.ndarray, names: list[str]
) -> Figure:
    """Points (N, 2) with a color and a marker per class, and each class's name at its median, if there are several."""
    figure = new_figure(6.6, 5.2)
    axes = figure.subplots()
    places = label_places(points, labels)
    for label, name in enumerate(names):
        members = points[labels == label]
        if not len(members):
            continue
        color, marker = MANY_COLORS[label % len(MANY_COLORS)], MARKERS[label % len(MARKERS)]
        axes.scatter(
            members[:, 0],
            members[:, 1],
            s=14,
            color=color,
            marker=marker,
            alpha=0.7,
            linewidths=0,
            label=name,
        )
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": color, "alpha": 0.9}
        x, y = places[label]
        if len(places) > 1:
            axes.text(x, y, name, ha="center", va="center", weight="bold", bbox=box)
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid()
    if len(places) > 1:
        figure.legend(loc="outside right center", markerscale=1.8)
    figure.suptitle("The code in two dimensions")
    return figure


def label_places(points: np.ndarray, labels: np.ndarray) -> dict[int, tuple[float, float]]:
    """The median of each class; if two would overlap, the second moves up."""
    places: dict[int, tuple[float, float]] = {}
    step = 0.045 * max(float(np.ptp(points)), 1e-12)
    for label in np.unique(labels).tolist():
        x, y = map(float, np.median(points[labels == label], axis=0))
        while any(math.hypot(x - other_x, y - other_y) < step for other_x, other_y in places.values()):
            y += step / 4
        places[label] = (x, y)
    return places


def draw_neighbors(images: np.ndarray, labels: np.ndarray, cosines: np.ndarray) -> Figure:
    """One row per query: images (Q, 1 + k, H, W), the query first, and the cosines (Q, k)."""
    num_queries, columns = labels.shape
    texts, colors = [], []
    for own, row in zip(labels, cosines, strict=True):
        texts += ["query", *(f"{cosine:.3f}" for cosine in row)]
        colors += ["black", *(BLUE if label == own[0] else VERMILION for label in own[1:])]
    figure = new_figure(6.2, 1.05 * num_queries + 0.6)
    axes = figure.subplots()
    show_captioned(axes, images.reshape(-1, *images.shape[2:]), texts, columns, colors, cmap=INK)
    if len(np.unique(labels)) > 1:
        figure.supxlabel("cosine in blue: the same class as the query; in red: another", fontsize=10)
    figure.suptitle("Nearest neighbors and the cosine of their codes")
    return figure
