"""A recurrent network: the series, its one-step predictions, and its free forecast."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.network import raw_targets
from callbacks.pictures.style import BLUE, GRAY, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_SERIES = 4


class Forecast(Picture):
    """`fit/forecast`: the first series of the batch. For models with `forecast(x, horizon)`."""

    how_to_read: ClassVar = {
        "fit/forecast": "The blue line predicts each value from the true ones before it; the red line feeds its own "
        "predictions back, and sees nothing beyond the dotted line.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return hasattr(pl_module, "forecast") and len(spec_of(data).in_shape) == 2

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        known, future = (tensor[:NUM_SERIES] for tensor in batch)
        model: Any = pl_module
        one_step, free = model(known[:, :-1]), model.forecast(known, future.shape[1])
        known, future, one_step, free = (
            raw_targets(data, tensor[..., 0]) for tensor in (known, future, one_step, free)
        )
        yield "fit/forecast", draw_forecast(known, future, one_step, free)


def draw_forecast(known: np.ndarray, future: np.ndarray, one_step: np.ndarray, free: np.ndarray) -> Figure:
    """One panel per series: known (N, K), future (N, H), predictions of steps 1 to K - 1, and of the last H steps."""
    num_series, num_known = known.shape
    figure = new_figure(5.0, 1.2 + 1.5 * num_series)
    panels = figure.subplots(num_series, 1, sharex=True, squeeze=False)[:, 0]
    steps = np.arange(num_known + future.shape[1])
    for series, axes in enumerate(panels):
        truth = np.concatenate([known[series], future[series]])
        axes.plot(steps, truth, ".", color=GRAY, markersize=4, label="series")
        axes.plot(steps[1:num_known], one_step[series], color=BLUE, linewidth=1.3, label="one step ahead")
        axes.plot(steps[num_known:], free[series], color=VERMILION, linewidth=2.2, label="free forecast")
        axes.axvline(num_known - 0.5, color="black", linewidth=0.8, linestyle=":")
        axes.set_ylabel(f"value {series + 1}")
    panels[0].set_title("known to the left of the dotted line")
    panels[-1].set_xlabel("time step")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle("Forecast")
    return figure
