"""How large the gradient of each layer was, from the first step to the last."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from callbacks.diagnostics.gradients import GradientMonitor
from callbacks.pictures.base import Picture
from callbacks.pictures.style import COLORS, SEQUENTIAL, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_LOOKS = 1000  # of which every second is dropped when there are more
Looks = Sequence[tuple[int, Mapping[str, float]]]  # step, and the value of each layer


class GradientCurve(Picture):
    """`depth/gradient_over_steps`: the mean absolute weight gradient of each layer, on a log scale.

    It reads the Trainer's `GradientMonitor`, and draws nothing where there is none.
    """

    only_at_end = True

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        self._looks: list[tuple[int, Mapping[str, float]]] = []
        self._monitors = [each for each in pl_module.trainer.callbacks if isinstance(each, GradientMonitor)]
        return len(self._monitors) > 0

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if self._active:
            self._take_up()

    def _take_up(self) -> None:
        monitor = self._monitors[0]
        step = monitor.latest_step
        if step is None or (self._looks and self._looks[-1][0] == step):
            return
        self._looks.append((step, monitor.latest.get("grad_mean_abs", {})))
        if len(self._looks) > MAX_LOOKS:
            del self._looks[1::2]

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        self._take_up()
        if len(self._looks) > 1:
            yield "depth/gradient_over_steps", draw_gradient_curve(self._looks)


def draw_gradient_curve(looks: Looks) -> Figure:
    """A line per layer, from the first (dark) to the last (light)."""
    from matplotlib import colormaps

    figure = new_figure()
    axes = figure.subplots()
    tags = sorted({tag for _, values in looks for tag in values})
    few = len(tags) <= 4
    for place, tag in enumerate(tags):
        known = [(step, values[tag]) for step, values in looks if 0 < values.get(tag, 0) < math.inf]
        color = COLORS[place] if few else colormaps[SEQUENTIAL](0.9 * place / (len(tags) - 1))
        axes.plot(*zip(*known, strict=True), color=color, linewidth=1.3, label=tag)
    axes.set(xlabel="step", ylabel="mean absolute weight gradient", yscale="log")
    outside: Any = {} if few else {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "fontsize": "small"}
    axes.legend(title="layer", **outside)
    axes.grid(alpha=0.3)
    figure.suptitle("Gradient of each layer")
    return figure
