"""Two classes: how well the network does at every threshold, not only at one half."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.network import array, is_table, probabilities
from callbacks.pictures.style import BLUE, GRAY, VERMILION, legend_below, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GUESSING: dict[str, Any] = {"color": GRAY, "linestyle": "--", "linewidth": 1}
HALF: dict[str, Any] = {"color": VERMILION, "linestyle": "none", "marker": "o", "label": "threshold 0.5"}


def suits_two_classes(data: Any) -> bool:
    """Whether the data are a table with more than two inputs, and the task is to separate two classes."""
    return is_table(data, "binary") and spec_of(data).in_shape[0] > 2


class Roc(Picture):
    """`fit/roc`: the receiver operating characteristic. `fit/precision_recall`: precision against recall."""

    how_to_read: ClassVar = {
        "fit/roc": "The nearer the curve is to the upper left corner, the better the classes are separated; the dot "
        "is the threshold in use.",
        "fit/precision_recall": "Precision is the share of those predicted as the second class that belong to it, "
        "recall the share of that class that the network finds; the dot is the threshold in use.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return suits_two_classes(data)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y, *_ = batch
        truth, probability = array(y), probabilities(pl_module, "binary", x)[:, 1]
        yield "fit/roc", draw_roc(truth, probability)
        yield "fit/precision_recall", draw_precision_recall(truth, probability)


def draw_roc(truth: np.ndarray, probability: np.ndarray) -> Figure:
    """Curve for labels (N,) that are 0 or 1 and probabilities (N,) of class 1; computed by scikit-learn."""
    from sklearn.metrics import roc_auc_score, roc_curve

    false_positive, true_positive, thresholds = roc_curve(truth, probability, drop_intermediate=False)
    figure = new_figure(4.6, 5.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="guessing", **GUESSING)
    label = f"network, area {roc_auc_score(truth, probability):.3f}"
    axes.plot(false_positive, true_positive, color=BLUE, label=label)
    half = np.flatnonzero(thresholds > 0.5)[-1]
    axes.plot(false_positive[half], true_positive[half], **HALF)
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    legend_below(figure, axes, 2)
    figure.suptitle("ROC curve")
    return figure


def draw_precision_recall(truth: np.ndarray, probability: np.ndarray) -> Figure:
    """Curve for labels (N,) that are 0 or 1 and probabilities (N,) of class 1; computed by scikit-learn."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(truth, probability)
    figure = new_figure(4.6, 5.0)
    axes = figure.subplots()
    axes.axhline(truth.mean(), label="guessing", **GUESSING)
    label = f"network, average precision {average_precision_score(truth, probability):.3f}"
    axes.step(recall, precision, where="post", color=BLUE, label=label)
    if (above := np.flatnonzero(thresholds > 0.5)).size:
        axes.plot(recall[above[0]], precision[above[0]], **HALF)
    axes.set(xlabel="recall", ylabel="precision")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    legend_below(figure, axes, 2)
    figure.suptitle("Precision and recall")
    return figure
