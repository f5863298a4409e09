"""A table with many columns: what the network predicts for each class, and the mean of every unit in each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from callbacks.data_spec import spec_of
from callbacks.pictures.network import array, class_names, feature_name, probabilities, raw_targets
from callbacks.pictures.style import class_colors
from pages.watch.columns import Column
from pages.watch.frames import bars_of, class_means
from pages.watch.packing import plain
from pages.watch.scene import Scene, Units

MAX_ROWS = 1000
FIFTHS = 5  # groups of a regression, by target
BINS = 20


class TableScene(Scene):
    """The rows of a validation batch.

    Args:
        data: the data module, or None.
        batch: inputs (N, F) and targets (N, ...).
        task: as in `PlaneScene`; empty if it is not known.
    """

    kind = "table"

    def __init__(self, data: Any, batch: tuple[Tensor, Tensor], task: str) -> None:
        self.x, y = (each[:MAX_ROWS] for each in batch)
        self.data, self.task = data, task
        self.num_inputs = int(self.x.shape[1])
        first = y.reshape(len(y), -1)[:, 0]
        self.targets = raw_targets(data, first) if task == "regression" else array(first)
        if task in ("binary", "multiclass", "classes"):
            self.groups = self.targets.astype(int)
            self.group_names = class_names(data, int(self.groups.max()) + 1)
        else:
            edges = np.quantile(self.targets, np.linspace(0, 1, FIFTHS + 1)[1:-1])
            self.groups = np.searchsorted(edges, self.targets)
            self.group_names = [f"fifth {k + 1} by target" for k in range(FIFTHS)]

    def hello(self) -> dict[str, Any]:
        """The names of the groups that the bars stand for."""
        colors = class_colors(len(self.group_names))
        return {
            "groups": self.group_names,
            "colors": colors,
            "names": [spec_of(self.data).target_name],
            "task": self.task,
        }

    def probe(self) -> Tensor:
        """The rows (N, F)."""
        return self.x

    def inputs(self) -> Units:
        """The mean of each column in each group, as the network gets it."""
        column = Column("", pl.LightningModule(), self.x, self.x)
        return self._bars(column, [feature_name(self.data, k) for k in range(self.num_inputs)])

    def units(self, column: Column, *, is_output: bool) -> tuple[Units, int]:
        """The mean output of each unit in each group."""
        names = self.group_names if is_output and column.units == len(self.group_names) else None
        return self._bars(column, names), column.units

    def _bars(self, column: Column, names: list[str] | None) -> Units:
        return bars_of(class_means(column, self.groups, len(self.group_names)), names)

    def output(self, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Predictions against targets, or how often each probability is given to the rows of each class."""
        if self.task == "regression":
            predicted = raw_targets(self.data, pl_module(self.x)).reshape(len(self.x), -1)[:, 0]
            return {"predicted": plain(predicted[:400]), "target": plain(self.targets[:400])}
        if self.task in ("binary", "multiclass"):
            found = probabilities(pl_module, self.task, self.x)
            of_truth = found[:, 1] if self.task == "binary" else found[np.arange(len(found)), self.groups]
            counts = [
                np.histogram(of_truth[self.groups == group], BINS, (0, 1))[0]
                for group in range(len(self.group_names))
            ]
            what = f"P({self.group_names[1]})" if self.task == "binary" else "probability of the true class"
            return {
                "counts": plain(counts),
                "legend": what,
                "accuracy": plain((found.argmax(1) == self.groups).mean()),
            }
        return {}
