"""A regression on several inputs: predictions against true values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.network import is_table, raw_targets
from callbacks.pictures.style import BLACK, BLUE, legend_below, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
        x, y, *_ = batch
        truth = raw_targets(data, y).reshape(len(y), -1)
        prediction = raw_targets(data, pl_module(x).reshape(y.shape)).reshape(truth.shape)
        yield "fit/predicted", draw_predicted(prediction, truth, spec_of(data).target_name)


def draw_predicted(prediction: np.ndarray, truth: np.ndarray, name: str | Sequence[str] = "y") -> Figure:
    """Predictions (N,) or (N, K) against true values, on the same scale; a panel for each of K outputs.

    Args:
        prediction: see above.
        truth: of the same shape.
        name: of the target; for several outputs, one for each, or one that gets their numbers.
    """
    prediction, truth = prediction.reshape(len(truth), -1), truth.reshape(len(truth), -1)
    count = truth.shape[1]
    names = list(name) if not isinstance(name, str) else [f"{name}{k}" for k in range(count)]
    if isinstance(name, str) and count == 1:
        names = [name]
    figure = new_figure(4.8 * count, 4.6)
    for column, axes in enumerate(figure.subplots(1, count, squeeze=False)[0]):
        draw_output(axes, prediction[:, column], truth[:, column], names[column])
    legend_below(figure, axes)
    figure.suptitle("Predicted and true")
    return figure


def draw_output(axes: Axes, prediction: np.ndarray, truth: np.ndarray, name: str) -> None:
    """One panel: predictions (N,) against true values (N,)."""
    ends = [min(prediction.min(), truth.min()), max(prediction.max(), truth.max())]
    axes.plot(ends, ends, color=BLACK, linewidth=1, label="predicted = true")
    axes.scatter(truth, prediction, s=12, color=BLUE, alpha=0.6, linewidths=0)
    axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}", aspect="equal")
    axes.set_title(f"mean squared error {np.mean((prediction - truth) ** 2):.3g}")
