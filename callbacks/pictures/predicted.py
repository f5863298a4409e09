"""A regression on several inputs: predictions against true values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.network import is_table, raw_targets
from callbacks.pictures.style import BLACK, BLUE, legend_below, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Predicted(Picture):
    """`fit/predicted`: one point per sample, on the diagonal if the prediction is right."""

    how_to_read: ClassVar = {
        "fit/predicted": "A dot is a sample: on the diagonal the prediction is right, above it too large, below it "
        "too small.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return is_table(data, "regression") and spec_of(data).in_shape[0] > 1

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y = batch
        prediction, truth = raw_targets(data, pl_module(x)).ravel(), raw_targets(data, y).ravel()
        yield "fit/predicted", draw_predicted(prediction, truth, spec_of(data).target_name)


def draw_predicted(prediction: np.ndarray, truth: np.ndarray, name: str = "y") -> Figure:
    """Predictions (N,) against true values (N,), on the same scale."""
    figure = new_figure(4.8, 4.6)
    axes = figure.subplots()
    ends = [min(prediction.min(), truth.min()), max(prediction.max(), truth.max())]
    axes.plot(ends, ends, color=BLACK, linewidth=1, label="predicted = true")
    axes.scatter(truth, prediction, s=12, color=BLUE, alpha=0.6, linewidths=0)
    axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}", aspect="equal")
    axes.set_title(f"mean squared error {np.mean((prediction - truth) ** 2):.3g}")
    legend_below(figure, axes)
    figure.suptitle("Predicted and true")
    return figure
