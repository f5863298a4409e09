"""Two inputs: the network's output and every unit over the plane, with the points of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from callbacks.pictures.network import (
    array,
    prepared_inputs,
    probabilities,
    raw_inputs,
    raw_targets,
)
from callbacks.pictures.plane_axes import PlaneAxes
from pages.watch.columns import MAX_UNITS, Column
from pages.watch.frames import maps_of
from pages.watch.packing import largest, pack, pack_colors, plain
from pages.watch.scene import Scene, Units

SIDE = 50  # points of the grid along each axis
MAX_POINTS = 1000


class PlaneScene(Scene):
    """The plane of a classification or a regression on two inputs.

    Args:
        data: the data module, or None.
        batch: points (N, 2) and targets (N,), of validation.
        task: "binary", "multiclass", "regression", or "classes" if what the network returns is not known.
    """

    kind = "plane"
    num_inputs = 2

    def __init__(self, data: Any, batch: tuple[Tensor, Tensor], task: str) -> None:
        self.data, self.task = data, task
        x, y = (each[:MAX_POINTS] for each in batch)
        self.is_regression = task == "regression"
        labels = np.zeros(len(y), dtype=int) if self.is_regression else array(y).astype(int)
        self.axes = PlaneAxes(raw_inputs(data, x), labels, data)
        self.targets = raw_targets(data, y).ravel() if self.is_regression else labels
        across, down = (self._ticks(axis) for axis in range(2))
        horizontal, vertical = np.meshgrid(across, down[::-1])  # rows from top to bottom
        self.grid = np.stack([horizontal.ravel(), vertical.ravel()], axis=1)
        self.x = prepared_inputs(data, self.grid, like=x)
        self.train: list[np.ndarray] = []  # points of training (N, 3): both coordinates and the target

    def _ticks(self, axis: int) -> np.ndarray:
        """Coordinates of the grid; a feature with two values has only these, each for its half of the axis."""
        ticks = np.linspace(self.axes.low[axis], self.axes.high[axis], SIDE)
        pair = self.axes.pairs[axis]
        return ticks if pair is None else np.where(ticks < np.mean(pair), *pair)

    def hello(self) -> dict[str, Any]:
        """Points, names and limits."""
        shown, train = self.axes.shown(), np.concatenate([*self.train, np.zeros((0, 3))])
        return {
            "low": plain(self.axes.low),
            "high": plain(self.axes.high),
            "names": list(self.axes.names),
            "ticks": [
                list(names) if pair else None
                for names, pair in zip(self.axes.value_names, self.axes.pairs, strict=True)
            ],
            "places": [list(pair) if pair else None for pair in self.axes.pairs],
            "classes": [] if self.is_regression else list(self.axes.classes),
            "colors": list(self.axes.colors),
            "points": [plain(shown[:, 0]), plain(shown[:, 1]), plain(self.targets)],
            "train": plain(train.T),
        }

    def add_points(self, batch: Any) -> bool:
        """Keep the points of a batch of training; whether any were kept."""
        kept = sum(map(len, self.train))
        if kept >= MAX_POINTS:
            return False
        x, y = (each[: MAX_POINTS - kept] for each in batch)
        points = raw_inputs(self.data, x)
        targets = raw_targets(self.data, y).ravel() if self.is_regression else array(y)
        jitter = PlaneAxes(points, np.zeros(len(points), dtype=int), self.data).shown()
        self.train.append(np.column_stack([jitter, targets]))
        return True

    def probe(self) -> Tensor:
        """The grid (SIDE * SIDE, 2), row by row from the top."""
        return self.x

    def inputs(self) -> Units:
        """Both inputs over the plane, as the network gets them."""
        return maps_of(array(self.x).T.reshape(2, SIDE, SIDE), list(self.axes.names))

    def units(self, column: Column, *, is_output: bool) -> tuple[Units, int]:
        """The output of each unit over the plane."""
        maps = array(column.output).T[:MAX_UNITS].reshape(-1, SIDE, SIDE)
        names = list(self.axes.classes) if is_output and column.units > 1 else None
        return maps_of(maps, names), column.units

    def output(self, pl_module: pl.LightningModule) -> dict[str, Any]:
        """What the network says over the plane."""
        if self.task == "binary":
            field = probabilities(pl_module, "binary", self.x)[:, 1].reshape(SIDE, SIDE)
            return {"map": pack(field, 0.5, 0.5), "legend": f"P({self.axes.classes[1]})"}
        if self.task == "multiclass":
            return {
                "map": self._regions(probabilities(pl_module, "multiclass", self.x)),
                "legend": "most likely class",
            }
        if self.is_regression:
            field = raw_targets(self.data, pl_module(self.x)).reshape(SIDE, SIDE)
            center = float(np.median(self.targets))
            return {"map": pack(field, largest(self.targets - center), center), "legend": "prediction"}
        field = array(pl_module(self.x)).reshape(SIDE * SIDE, -1)
        return {
            "map": pack(field[:, -1].reshape(SIDE, SIDE), largest(field[:, -1])),
            "legend": "the network's output",
        }

    def _regions(self, probability: np.ndarray) -> dict[str, Any]:
        """The colors of the classes, mixed by probability (SIDE * SIDE, K)."""
        colors = np.array(
            [[int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)] for color in self.axes.colors]
        )
        mixed = 1 - 0.6 * (1 - probability[:, : len(colors)] @ colors[: probability.shape[1]])
        return pack_colors(mixed.reshape(SIDE, SIDE, 3))
