"""A regression on one input: the data and the fit, and the curve of every unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from callbacks.data_spec import spec_of
from callbacks.pictures.network import array, axis_name, prepared_inputs, raw_inputs, raw_targets
from pages.watch.columns import Column
from pages.watch.frames import curves_of
from pages.watch.packing import plain
from pages.watch.scene import Scene, Units

POINTS = 240
MAX_POINTS = 600


class CurveScene(Scene):
    """The curve of a network with one input.

    Args:
        data: the data module, or None.
        batch: inputs (N, 1) and targets (N,) or (N, 1).
    """

    kind = "curve"
    num_inputs = 1

    def __init__(self, data: Any, batch: tuple[Tensor, Tensor]) -> None:
        x, y = (each[:MAX_POINTS] for each in batch)
        self.data = data
        self.points, self.targets = raw_inputs(data, x)[:, 0], raw_targets(data, y).ravel()
        margin = 0.03 * float(np.ptp(self.points)) + 1e-9
        self.grid = np.linspace(self.points.min() - margin, self.points.max() + margin, POINTS)
        self.x = prepared_inputs(data, self.grid[:, None], like=x)

    def hello(self) -> dict[str, Any]:
        """The data, and the grid of the curve."""
        names = [axis_name(self.data, 0), spec_of(self.data).target_name]
        return {"points": [plain(self.points), plain(self.targets)], "grid": plain(self.grid), "names": names}

    def probe(self) -> Tensor:
        """The grid (POINTS, 1)."""
        return self.x

    def inputs(self) -> Units:
        """The input itself."""
        return curves_of(array(self.x).T, [axis_name(self.data, 0)])

    def units(self, column: Column, *, is_output: bool) -> tuple[Units, int]:
        """The output of each unit against the input."""
        return curves_of(array(column.output).reshape(POINTS, -1).T), column.units

    def output(self, pl_module: pl.LightningModule) -> dict[str, Any]:
        """The fit, in the units of the table."""
        return {"fit": plain(raw_targets(self.data, pl_module(self.x)).reshape(POINTS, -1)[:, 0])}
