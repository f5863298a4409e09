"""Two classes: how the network does at every threshold, not only at one half."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl

from callbacks.pictures.base import Picture
from callbacks.pictures.network import array, class_names, is_table, probabilities
from callbacks.pictures.style import BLUE, GRAY, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def suits_two_classes(data: Any) -> bool:
    """Whether a table of more than a plane's two inputs tells two classes apart."""
    return is_table(data, "binary") and data.in_shape[0] > 2


class Roc(Picture):
    """`fit/roc`: the receiver operating characteristic, and precision against recall."""

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return suits_two_classes(data)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y = batch
        yield (
            "fit/roc",
            draw_roc(array(y), probabilities(pl_module, "binary", x)[:, 1], class_names(data, 2)[1]),
        )


def draw_roc(truth: np.ndarray, probability: np.ndarray, positive: str = "class 1") -> Figure:
    """Both curves, from labels (N,) that are 0 or 1 and probabilities (N,) of class 1; computed by scikit-learn."""
    from sklearn.metrics import (
        average_precision_score,
        precision_recall_curve,
        roc_auc_score,
        roc_curve,
    )

    figure = new_figure(8.4, 4.2)
    left, right = figure.subplots(1, 2)
    false_positive, true_positive, thresholds = roc_curve(truth, probability, drop_intermediate=False)
    area = roc_auc_score(truth, probability)
    left.plot([0, 1], [0, 1], color=GRAY, linestyle="--", linewidth=1, label="guessing")
    left.plot(false_positive, true_positive, color=BLUE, label=f"network, area {area:.3f}")
    at_half = np.flatnonzero(thresholds > 0.5)[-1]
    half = {"color": VERMILION, "linestyle": "none", "marker": "o", "label": "threshold 0.5", "zorder": 3}
    left.plot(false_positive[at_half], true_positive[at_half], **half)
    left.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
    precision, recall, thresholds = precision_recall_curve(truth, probability)
    mean = average_precision_score(truth, probability)
    right.axhline(truth.mean(), color=GRAY, linestyle="--", linewidth=1, label="guessing")
    right.step(recall, precision, where="post", color=BLUE, label=f"network, average precision {mean:.3f}")
    if (above := np.flatnonzero(thresholds > 0.5)).size:
        right.plot(recall[above[0]], precision[above[0]], **half)
    right.set(xlabel="recall", ylabel="precision")
    for axes in (left, right):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.legend(loc="lower right" if axes is left else "lower left")
    figure.suptitle(f"ROC and precision-recall, P({positive})")
    return figure
