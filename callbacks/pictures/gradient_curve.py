"""The size of each layer's gradient, from the first step to the last."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl
import torch

from callbacks.diagnostics.gradients import GradientMonitor
from callbacks.diagnostics.observer import Observer
from callbacks.pictures.base import Picture
from callbacks.pictures.network import layer_names
from callbacks.pictures.style import COLORS, SEQUENTIAL, legend_below, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 1000  # if there are more, every second one is dropped
MAX_NAMES = 12  # of layers in the legend; of more, only some are named
Points = Sequence[tuple[int, Mapping[str, float]]]  # step, and the value of each layer


class GradientCurve(Picture):
    """`depth/gradient_over_steps`: the mean absolute weight gradient of each layer, on a log scale.

    It reads the Trainer's `GradientMonitor`, and draws nothing if there is none. Checkpoints hold what it has read, so
    that the picture of a resumed run begins at the first step.
    """

    how_to_read: ClassVar = {
        "depth/gradient_over_steps": "A curve that falls and then stays level means that training has settled; "
        "spikes are steps that were too large.",
    }
    only_at_end = True

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self._points: list[tuple[int, Mapping[str, float]]] = []
        self._monitor: Any = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            monitors = (each for each in trainer.callbacks if isinstance(each, GradientMonitor))
            self._points, self._monitor = [], next(monitors, None)
            if self._monitor is not None:
                Observer.of(trainer, self._monitor).add_reader(self)

    def state_dict(self) -> dict[str, Any]:
        """What was read: the steps (S,), the layers, and their values (S, L), NaN where a layer has none."""
        if not self._points:
            return {}
        tags = sorted({tag for _, values in self._points for tag in values})
        rows = [[values.get(tag, math.nan) for tag in tags] for _, values in self._points]
        return {
            "steps": [step for step, _ in self._points],
            "layers": tags,
            "values": torch.tensor(rows, dtype=torch.float64),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rows = state_dict["values"].tolist()
        self._points = [
            (step, {tag: v for tag, v in zip(state_dict["layers"], row, strict=True) if not math.isnan(v)})
            for step, row in zip(state_dict["steps"], rows, strict=True)
        ]

    def start_reading(self, trainer: pl.Trainer, observer: Observer) -> None:
        """Do nothing: the monitor is already known."""

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return self._monitor is not None

    def read(self, trainer: pl.Trainer) -> None:
        step = self._monitor.latest_step
        if not self._active or step is None or (self._points and self._points[-1][0] == step):
            return
        self._points.append((step, self._monitor.latest.get("grad_mean_abs", {})))
        if len(self._points) > MAX_POINTS:
            del self._points[1::2]

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        if len(self._points) > 1:
            yield (
                "depth/gradient_over_steps",
                draw_gradient_curve(self._points, layer_names(pl_module, self._points[0][1])),
            )


def draw_gradient_curve(points: Points, names: Mapping[str, str] | None = None) -> Figure:
    """One line per layer, from the first (dark) to the last (light); `names` of the layers, by tag."""
    from matplotlib import colormaps

    figure = new_figure()
    axes = figure.subplots()
    tags = sorted({tag for _, values in points for tag in values})
    few = len(tags) <= 4
    named = tags if len(tags) <= MAX_NAMES else spread(tags, MAX_NAMES)
    for place, tag in enumerate(tags):
        known = [(step, values[tag]) for step, values in points if 0 < values.get(tag, 0) < math.inf]
        color = COLORS[place] if few else colormaps[SEQUENTIAL](0.9 * place / (len(tags) - 1))
        axes.plot(
            *zip(*known, strict=True),
            color=color,
            linewidth=1.3,
            label=(names or {}).get(tag, tag) if tag in named else None,
        )
    axes.set(xlabel="step", ylabel="mean absolute weight gradient", yscale="log")
    if few:
        legend_below(figure, axes, 2)
    else:
        axes.legend(title="layer", loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    axes.grid(alpha=0.3)
    figure.suptitle("Gradient of each layer")
    return figure


def spread(tags: Sequence[str], count: int) -> list[str]:
    """So many of the tags, the first and the last among them, at equal distances."""
    return [tags[round(place * (len(tags) - 1) / (count - 1))] for place in range(count)]
