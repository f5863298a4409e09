"""Series: the known part, what comes after it, and the forecast; every unit over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from callbacks.pictures.network import array, raw_targets
from pages.watch.columns import Column
from pages.watch.frames import curves_of
from pages.watch.packing import plain
from pages.watch.scene import Scene, Units

NUM_SERIES = 4


class SeriesScene(Scene):
    """A few series of the validation batch, for a model with `forecast(x, horizon)`.

    Args:
        data: the data module, or None.
        batch: known part (N, K, F) and future (N, H, F).
    """

    kind = "series"
    num_inputs = 0  # what a unit gets depends on the time, so no edges are drawn from the input

    def __init__(self, data: Any, batch: tuple[Tensor, Tensor]) -> None:
        self.data = data
        self.known, self.future = (each[:NUM_SERIES] for each in batch)

    def hello(self) -> dict[str, Any]:
        """The series."""
        truth = np.concatenate([self._values(self.known), self._values(self.future)], axis=1)
        return {"series": plain(truth), "known": self.known.shape[1]}

    def probe(self) -> Tensor:
        """The known part of the first series, (1, K, F)."""
        return self.known[:1]

    def inputs(self) -> Units:
        """The first series."""
        return curves_of(self._values(self.known[:1]) - self._values(self.known[:1]).mean(), ["series 1"])

    def state(self, column: Column) -> tuple[Units, int]:
        """What the recurrent layers remember, over time: the layer after them reads it."""
        if column.inputs.shape[:2] != self.known[:1].shape[:2]:
            return [], 0
        over_time = array(column.inputs)[0]
        return curves_of(over_time.T), over_time.shape[1]

    def units(self, column: Column, *, is_output: bool) -> tuple[Units, int]:
        """The output of each unit over time, for the first series."""
        over_time = array(column.output)[0]
        return curves_of(over_time.T), over_time.shape[1]

    def output(self, pl_module: pl.LightningModule) -> dict[str, Any]:
        """One step ahead within the known part, then freely."""
        model: Any = pl_module
        one_step, forecast = model(self.known[:, :-1]), model.forecast(self.known, self.future.shape[1])
        return {"one_step": plain(self._values(one_step)), "forecast": plain(self._values(forecast))}

    def _values(self, series: Tensor) -> np.ndarray:
        return raw_targets(self.data, series[..., 0])
