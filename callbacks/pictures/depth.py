"""DepthPlot: gradient and delta against depth on a log scale, before training and at its end.

In the picture `depth/gradients` a vanishing gradient is a straight line down towards the first layer. The axes span at
least ten decades, so that a healthy network's lines look level, and the pictures of two runs can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl

from callbacks.diagnostics.gradients import GradientMonitor
from callbacks.diagnostics.monitor import Cadence, checked_cadence
from callbacks.diagnostics.observer import Observer
from callbacks.pictures.base import Picture
from callbacks.pictures.network import layer_names
from callbacks.pictures.style import drawing, legend_below, new_figure, to_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_NAMED = 12  # layers whose names fit below the axis
Measured = dict[int, dict[str, dict[str, float]]]  # by step, quantity and tag


class DepthPlot(Picture):
    """Draws the mean absolute weight gradient and the norm of delta of every layer.

    "Before training" is measured in the first step, on the gradients of the initial weights.

    Args:
        every_n_steps: optimizer steps between two measurements; default: the Trainer's `log_every_n_steps`. Only the
            first and the last measurement are drawn.
        folder: see `Picture`.

    Raises:
        ValueError: every_n_steps is not a positive integer.

    The measurements are in `measured[step][quantity][tag]`. Checkpoints hold them, so that a resumed run shows the first.
    """

    how_to_read: ClassVar = {
        "depth/gradients": "A straight line down towards layer 0 is the vanishing gradient; in a healthy network the "
        "lines are level.",
    }

    def __init__(self, every_n_steps: int | None = None, folder: Path | None = None) -> None:
        super().__init__(folder)
        self.every_n_steps = checked_cadence(every_n_steps)
        self.measured: Measured = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self.measured = {}
            Observer.of(trainer, self).add_reader(self)

    @property
    def state_key(self) -> str:
        return self._generate_state_key(every_n_steps=self.every_n_steps)

    def state_dict(self) -> dict[str, Any]:
        return {"measured": self.measured}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.measured = dict(state_dict["measured"])

    def start_reading(self, trainer: pl.Trainer, observer: Observer) -> None:
        """Read the Trainer's `GradientMonitor` if it measures all layers at the required steps."""

        def suits(monitor: GradientMonitor) -> bool:
            cadences = [Cadence(each.every_n_steps, trainer).n for each in (self, monitor)]
            return monitor.covers_all and cadences[0] == cadences[1]

        self._monitor = observer.provide(GradientMonitor, self.every_n_steps, suits)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds = 0.0
        self._active = trainer.is_global_zero and not trainer.fast_dev_run

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw nothing: the first and the last measurement are enough."""

    def read(self, trainer: pl.Trainer) -> None:
        step = self._monitor.latest_step
        if step is None or step in self.measured:
            return
        first = not self.measured
        if len(self.measured) > 1:
            self.measured.pop(max(self.measured))
        self.measured[step] = self._monitor.latest
        if first:
            self._draw_measured(trainer, step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if len(self.measured) > 1:
            self._draw_measured(trainer, max(self.measured))

    def _draw_measured(self, trainer: pl.Trainer, step: int) -> None:
        def write() -> None:
            tags = self.measured[step].get("delta_norm", {})
            names = layer_names(trainer.lightning_module, tags)
            with drawing():
                self._write(trainer, "depth/gradients", to_png(draw_depth(self.measured, names)), step)

        if self._active:
            self._attempt(write)


def draw_depth(measured: Measured, names: Mapping[str, str] | None = None) -> Figure:
    """One panel per quantity: a line per measurement, layers from the first to the last, a logarithmic axis.

    `names` of all layers by tag; there may be too many to show them.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(5.0, 6.6)
    panels = {"grad_mean_abs": "mean absolute weight gradient", "delta_norm": "norm of delta = dL/dy"}
    rows = figure.subplots(len(panels), 1, sharex=True)
    for axes, (quantity, title) in zip(rows, panels.items(), strict=True):
        drawn: list[float] = []
        for step, quantities in sorted(measured.items()):
            values = {  # 0 and infinity cannot be shown on a logarithmic axis
                int(tag.split("_")[0]): value
                for tag, value in quantities.get(quantity, {}).items()
                if 0 < value < math.inf
            }
            label = "before training" if step == 0 else f"step {step}"
            style = (
                {"marker": "o"} if step == 0 else {"marker": "s", "linestyle": "--"}
            )  # seen also if they coincide
            axes.plot(list(values), list(values.values()), label=label, **style)
            drawn += values.values()
        axes.set(title=title, yscale="log")
        if drawn:
            top = 10.0 ** math.ceil(math.log10(max(drawn)) + 0.1)
            axes.set_ylim(min(min(drawn) / 3, top * 1e-10), top)
        axes.grid(alpha=0.3)
    if names and len(names) <= MAX_NAMED:
        rows[-1].set_xticks(
            range(len(names)), names.values(), rotation=60, ha="right", rotation_mode="anchor"
        )
    else:
        rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        rows[-1].set_xlabel("layer (0 is the first)")
    legend_below(figure, rows[0])
    figure.suptitle("Gradient and delta against depth")
    return figure
