"""Two classes: whether a probability of 0.7 is right in seven cases out of ten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl

from callbacks.pictures.base import Picture
from callbacks.pictures.network import array, class_names, probabilities
from callbacks.pictures.roc import suits_two_classes
from callbacks.pictures.style import BLUE, GRAY, SKY, legend_below, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_BINS = 8


class Calibration(Picture):
    """`fit/calibration`: predicted probabilities against how often class 1 occurred (a reliability diagram)."""

    how_to_read: ClassVar = {
        "fit/calibration": "On the diagonal, the probabilities are right; above it the network is too pessimistic, "
        "below it too optimistic. An interval that crosses the diagonal is no evidence of either.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return suits_two_classes(data)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y, *_ = batch
        probability = probabilities(pl_module, "binary", x)[:, 1]
        yield "fit/calibration", draw_calibration(array(y), probability, class_names(data, 2)[1])


def reliability(truth: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Bins with equal numbers of samples, ordered by probability.

    Returns:
        (B, 4): mean probability, share of class 1, and the ends of its 95 % interval (Wilson 1927).
    """
    from scipy.stats import binomtest

    order = np.argsort(probability, kind="stable")
    rows = []
    for members in np.array_split(order, min(NUM_BINS, len(order))):
        hits = int(truth[members].sum())
        interval = binomtest(hits, len(members)).proportion_ci(0.95, "wilson")
        rows.append([probability[members].mean(), hits / len(members), interval.low, interval.high])
    return np.array(rows)


def draw_calibration(truth: np.ndarray, probability: np.ndarray, positive: str = "class 1") -> Figure:
    """The diagram, above a histogram of the probabilities (N,); labels (N,) are 0 or 1."""
    mean, share, low, high = reliability(truth, probability).T
    figure = new_figure(5.0, 5.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    above.plot([0, 1], [0, 1], color=GRAY, linestyle="--", linewidth=1, label="perfect")
    label = f"bins of {len(truth) // len(mean)} samples, 95 % intervals"
    above.errorbar(mean, share, [share - low, high - share], color=BLUE, marker="o", capsize=3, label=label)
    above.set(ylabel=f"share that {positive}" if positive != "class 1" else "share of class 1")
    above.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    above.set_title(f"Brier score {np.mean((probability - truth) ** 2):.3f}")
    legend_below(figure, above, 2)
    below.hist(probability, bins=np.linspace(0, 1, 21), color=SKY)
    below.set(xlabel=f"predicted P({positive})", ylabel="samples")
    figure.suptitle("Calibration")
    return figure
