"""`train.py tune-lr`: a learning-rate range test (Smith 2017, https://arxiv.org/abs/1506.01186).

The rate rises a little with every step, from far too small to far too large. The loss stays flat, falls, and diverges;
a good rate is where the loss falls fastest. The result is only a suggestion; `sweep` measures.

Lightning's own `Tuner.lr_find` is not used: it takes the slope per unit of the rate, not per decade, which favors small
rates (for rings, one at which 1,500 steps learn nothing).
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.pictures.style import BLUE, GRAY, VERMILION, drawing, new_figure, to_png
from cli.build import Run, build
from cli.request import Request, prepare, take_option
from cli.sweep import QUIET
from runtime.commands import train_py
from runtime.errors import UsageError
from runtime.run_folder import ROOT
from runtime.tables import print_table
from sweeps.trials import silence

USAGE = """\
python train.py tune-lr --config configs/mnist_mlp.yaml [--low 1e-6] [--high 10] [--steps 200]

Any flag of fit may be given. Writes one picture, runs/tune_lr/<experiment>.png, and no run.
"""
SHORT = [  # for this training only the loss is measured, and nothing is kept
    "--trainer.max_epochs=-1",
    "--trainer.limit_val_batches=0",
    "--trainer.logger=false",
    "--trainer.enable_checkpointing=false",
    "--diagnostics=false",
]
SMOOTHING = 0.9  # of the running mean of the loss
DIVERGED = 4.0  # times the smallest loss so far


class RangeTest(Callback):
    """Raises the learning rate at every step; `rates` and `losses` hold one number per trained step.

    Args:
        low, high: the first and the last rate; rates between them are evenly spaced on a logarithmic scale.
        steps: number of rates.
    """

    def __init__(self, low: float, high: float, steps: int) -> None:
        self.planned = np.geomspace(low, high, steps)
        self.rates: list[float] = []
        self.losses: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if len(trainer.optimizers) != 1:
            raise UsageError(f"tune-lr needs a model with one optimizer, not {len(trainer.optimizers)}")
        trainer.strategy.lr_scheduler_configs = []  # a schedule would set the rate itself

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = float(self.planned[len(self.rates)])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # The loss was measured before this step's rate took effect, so it belongs to the rate before.
        self.rates.append(float(self.planned[len(self.rates)]))
        self.losses.append(float(outputs["loss"]))
        latest = smooth(self.losses)
        if not math.isfinite(self.losses[-1]) or (len(latest) > 10 and latest[-1] > DIVERGED * latest.min()):
            trainer.should_stop = True


def train_through_range(words: Sequence[str], test: RangeTest, folder: Path) -> Run:
    """Run `fit` for the number of steps of the test; its files go into `folder`."""
    short = [*QUIET, *words, *SHORT, f"--trainer.max_steps={len(test.planned)}"]
    run = build(Request("fit", ["fit", *short]), callbacks=(test,), folder=folder)
    if run.trainer.world_size > 1:
        raise UsageError("tune-lr is one process; give --trainer.devices 1")
    run.fit()
    return run


def main(given: list[str]) -> int:
    """Run the test, print the suggestion and draw the picture; returns the exit code.

    Raises:
        UsageError: for a wrong command, or if the loss never falls.
    """
    if {"-h", "--help"} & set(given):
        print(USAGE)
        return 0
    low, words = take_number(given, "--low", 1e-6)
    high, words = take_number(words, "--high", 10.0)
    steps, words = take_number(words, "--steps", 200)
    if not 0 < low < high or steps < 20:
        raise UsageError(
            f"--low {low:g} --high {high:g} --steps {steps:g}; it takes 0 < low < high and at least 20 steps"
        )
    request = prepare(["fit", *words])
    test = RangeTest(low, high, int(steps))
    # One folder deeper, so that a wrong flag can remove the run's folder.
    with tempfile.TemporaryDirectory() as scratch, silence():
        (folder := Path(scratch) / "run").mkdir()
        run = train_through_range(request.args[1:], test, folder)
    rate = suggest(test.rates, test.losses)
    name = request.experiment or type(run.model).__name__
    path = ROOT / "tune_lr" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_png(draw(test.rates, test.losses, rate)))
    # if max_lr is given, the schedule uses it
    peak = run.settings.model.get("init_args.scheduler.init_args.max_lr")
    flag = "model.optimizer.lr" if peak is None else "model.scheduler.max_lr"
    rows = {
        "suggestion": f"{rate:.2g}",
        "tested": f"{test.rates[0]:.2g} to {test.rates[-1]:.2g}, {len(test.rates)} steps",
        "picture": str(path),
        "train with it": train_py("fit", *words, f"--{flag}", f"{rate:.2g}"),
        "measure": train_py("sweep", *words, "--vary", f"{flag}={rate / 3:.2g},{rate:.2g},{rate * 3:.2g}"),
    }
    print_table(f"{name}: the loss falls fastest", rows)
    return 0


def take_number(words: list[str], name: str, default: float) -> tuple[float, list[str]]:
    """The value of an option as a number, and the words without it."""
    value, words = take_option(words, name)
    try:
        return default if value is None else float(value), words
    except ValueError:
        raise UsageError(f"{name} is {value}; it must be a number") from None


def smooth(losses: list[float]) -> np.ndarray:
    """Running mean of the losses, which forgets a tenth at every step; corrected so that it does not start at 0."""
    mean, smoothed = 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed.append(mean / (1 - SMOOTHING**step))
    return np.array(smoothed)


def suggest(rates: list[float], losses: list[float]) -> float:
    """The rate at which the smoothed loss falls fastest per decade, before its minimum.

    Raises:
        UsageError: if it never falls.
    """
    smoothed = smooth(losses)
    least = int(np.nanargmin(smoothed))
    if least < 2 or not smoothed[least] < smoothed[0]:
        raise UsageError("the loss never falls in this range; give a lower --low, or check the model")
    slope = np.gradient(smoothed[: least + 1], np.log10(rates[: least + 1]))
    return rates[int(np.argmin(slope))]


@drawing()
def draw(rates: list[float], losses: list[float], rate: float) -> Figure:
    """Loss against rate on a logarithmic scale, raw and smoothed, with the suggestion."""
    figure = new_figure()
    axes = figure.subplots()
    smoothed = smooth(losses)
    axes.plot(rates, losses, color=GRAY, linewidth=0.8, alpha=0.6, label="training loss")
    axes.plot(rates, smoothed, color=BLUE, label="smoothed")
    axes.axvline(rate, color=VERMILION, linestyle="--", label=f"steepest: {rate:.2g}")
    finite = smoothed[np.isfinite(smoothed)]
    margin = 0.1 * (finite[0] - finite.min())
    axes.set_ylim(finite.min() - 2 * margin, max(finite[0], losses[0]) + 5 * margin)
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.grid()
    axes.legend()
    return figure
