"""DepthPlot: gradient and delta against depth on a log scale, before any training and at its end.

The picture `depth/gradients` shows at a glance what the vanishing gradient is: a straight line down towards
the first layer. Its axes span ten decades at least, so that those of a healthy network look level, and the
pictures of two runs can be compared. With a logger that has a folder it is also
`pictures/depth_gradients_<step>.png` there.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from callbacks.gradients import GradientMonitor
from callbacks.logs import on_tensorboard


class DepthPlot(pl.Callback):
    """Draws the mean absolute weight gradient and the norm of delta of every layer.

    "Before training" is measured in the first step, on the gradients that the initial weights give.

    Args:
        every_n_steps: optimizer steps between two looks; default: the Trainer's `log_every_n_steps`. Only the
            first and the last look are drawn.

    Raises:
        ValueError: every_n_steps is not a positive integer.

    `looks` holds them: `looks[step][quantity][tag]`.
    """

    def __init__(self, every_n_steps: int | None = None) -> None:
        self.monitor = GradientMonitor(every_n_steps)
        self.monitor.writes = False
        self.looks: dict[int, dict[str, dict[str, float]]] = {}
        self._folder: Path | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            self.looks = {}
            folder = trainer.log_dir if trainer.loggers else None  # asked for where every process comes by
            self._folder = Path(folder) / "pictures" if folder else None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.monitor.on_train_start(trainer, pl_module)

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
            self._write(trainer, step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.monitor.on_train_end(trainer, pl_module)
        if len(self.looks) > 1:
            self._write(trainer, max(self.looks))

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self.monitor.on_exception(trainer, pl_module, exception)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.monitor.teardown(trainer, pl_module, stage)

    def _write(self, trainer: pl.Trainer, step: int) -> None:
        if not trainer.is_global_zero:
            return
        figure = draw(self.looks)
        on_tensorboard(trainer, lambda writer: writer.add_figure("depth/gradients", figure, step))
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(self._folder / f"depth_gradients_{step:06d}.png", dpi=120)


def draw(looks: dict[int, dict[str, dict[str, float]]]) -> Figure:
    """One panel per quantity: a line per look, layers from the first to the last, a logarithmic axis."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")  # no pyplot: it would choose a window system
    panels = {"grad_mean_abs": "mean absolute weight gradient", "delta_norm": "norm of delta = dL/dy"}
    for axes, (quantity, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
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
    return figure
