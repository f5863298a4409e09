"""DepthPlot: gradient and delta against depth on a log scale, before any training and at its end.

The picture `depth/gradients` shows at a glance what the vanishing gradient is: a straight line down towards
the first layer. Its axes span ten decades at least, so that those of a healthy network look level, and the
pictures of two runs can be compared.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from callbacks.diagnostics.gradients import GradientMonitor
from callbacks.pictures.base import Picture
from callbacks.pictures.style import drawing, new_figure, to_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DepthPlot(Picture):
    """Draws the mean absolute weight gradient and the norm of delta of every layer.

    "Before training" is measured in the first step, on the gradients that the initial weights give.

    Args:
        every_n_steps: optimizer steps between two looks; default: the Trainer's `log_every_n_steps`. Only the
            first and the last look are drawn.
        folder: see `Picture`.

    Raises:
        ValueError: every_n_steps is not a positive integer.

    `looks` holds them: `looks[step][quantity][tag]`.
    """

    def __init__(self, every_n_steps: int | None = None, folder: Path | None = None) -> None:
        super().__init__(folder)
        self.monitor = GradientMonitor(every_n_steps)
        self.monitor.writes = False
        self.looks: dict[int, dict[str, dict[str, float]]] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.looks, self.seconds = {}, 0.0
        self._active = trainer.is_global_zero and not trainer.fast_dev_run
        self.monitor.on_train_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing: the first look and the last say it all."""

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.monitor.on_train_batch_start(trainer, pl_module, batch, batch_idx)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        self.monitor.on_before_optimizer_step(trainer, pl_module, optimizer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.monitor.on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        step = self.monitor.latest_step
        if step is None or step in self.looks:
            return
        first = not self.looks
        if len(self.looks) > 1:
            self.looks.pop(max(self.looks))
        self.looks[step] = self.monitor.latest
        if first:
            self._draw_looks(trainer, step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.monitor.on_train_end(trainer, pl_module)
        if len(self.looks) > 1:
            self._draw_looks(trainer, max(self.looks))

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self.monitor.on_exception(trainer, pl_module, exception)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.monitor.teardown(trainer, pl_module, stage)

    def _draw_looks(self, trainer: pl.Trainer, step: int) -> None:
        def write() -> None:
            with drawing():
                self._write(trainer, "depth/gradients", to_png(draw_depth(self.looks)), step)

        if self._active:
            self._attempt(write)


def draw_depth(looks: dict[int, dict[str, dict[str, float]]]) -> Figure:
    """One panel per quantity: a line per look, layers from the first to the last, a logarithmic axis."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(5.0, 6.4)
    panels = {"grad_mean_abs": "mean absolute weight gradient", "delta_norm": "norm of delta = dL/dy"}
    for axes, (quantity, title) in zip(figure.subplots(len(panels), 1), panels.items(), strict=True):
        drawn: list[float] = []
        for step, look in sorted(looks.items()):
            values = {  # 0 and infinity have no place on a logarithmic axis
                int(tag.split("_")[0]): value
                for tag, value in look.get(quantity, {}).items()
                if 0 < value < math.inf
            }
            label = "before training" if step == 0 else f"step {step}"
            axes.plot(list(values), list(values.values()), marker="o", label=label)
            drawn += values.values()
        axes.set(title=title, xlabel="layer (0 is the first)", yscale="log")
        if drawn:
            top = 10.0 ** math.ceil(math.log10(max(drawn)) + 0.1)
            axes.set_ylim(min(min(drawn) / 3, top * 1e-10), top)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle("Gradient and delta against depth")
    return figure
