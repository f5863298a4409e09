"""Which classes are confused with each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.network import array, class_name, is_autoencoder, probabilities
from callbacks.pictures.plane import suits_plane
from callbacks.pictures.style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Confusion(Picture):
    """`fit/confusion`: how many samples of each true class were predicted as each class."""

    how_to_read: ClassVar = {
        "fit/confusion": "A row shows how the samples of one true class were predicted: the diagonal shows correct "
        "predictions, everything off it is a mistake.",
    }
    one_class_per_sample = True

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        classifies = spec_of(data).task in ("binary", "multiclass") and not is_autoencoder(pl_module)
        return classifies and not suits_plane(data)  # the picture of the plane shows it better

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y, *_ = batch
        probability = probabilities(pl_module, spec_of(data).task, x)
        names = [class_name(data, label) for label in range(probability.shape[1])]
        yield "fit/confusion", draw_confusion(count_pairs(array(y), probability.argmax(1), len(names)), names)


def count_pairs(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """(K, K): the samples of each true class (row) that were predicted as each class (column)."""
    counts = np.zeros((num_classes, num_classes), dtype=int)
    np.add.at(counts, (truth.astype(int), prediction.astype(int)), 1)
    return counts


def draw_confusion(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Counts (K, K), colored by their share in the true class."""
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = max(3.4, 0.38 * len(names) + 1.0)
    figure = new_figure(size + 1.0, size + 0.5)
    axes = figure.subplots()
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if share[row, column] > 0.5 else "black"
            text = f"{count}\n{share[row, column]:.0%}" if len(names) <= 4 else str(count)
            axes.text(column, row, text, ha="center", va="center", color=color)
    axes.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 8 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(f"accuracy {np.trace(counts) / max(counts.sum(), 1):.3f}")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    figure.suptitle("Confusion matrix")
    return figure
