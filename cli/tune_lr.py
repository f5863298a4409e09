"""`train.py tune-lr`: suggest a learning rate after a range test.

The rate rises a little with every step, from far too small to far too large. The loss stays flat, falls, and diverges;
a tenth of the rate at its minimum is a good one. `docs/tune_lr.md` compares this with other rules. The result is only a
suggestion; `sweep` measures.
"""

import json
import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jsonargparse import Namespace
from matplotlib.figure import Figure
from pytorch_lightning.callbacks import EarlyStopping, StochasticWeightAveraging

from callbacks.pictures.style import BLUE, GRAY, VERMILION, drawing, legend_below, new_figure, to_png
from cli.build import Run, build
from cli.range_test import SHARE, RangeTest, smooth, suggest
from cli.request import Request, option_values, prepare, take_option
from cli.sweep import QUIET
from runtime.commands import train_py
from runtime.errors import UsageError
from runtime.run_folder import ROOT
from runtime.tables import print_table
from sweeps.trials import silence

SHORT = [  # for this training only the loss is measured, and nothing is kept
    "--trainer.max_epochs=-1",
    "--trainer.limit_val_batches=0",
    "--trainer.logger=false",
    "--trainer.enable_checkpointing=false",
    "--diagnostics=false",
]
RATE = re.compile(r"(^|[._])(lr|learning_rate)$")  # the name of a setting that may be the learning rate
# Callbacks that would set the rate, or miss the validation.
LEFT_OUT = (EarlyStopping, StochasticWeightAveraging)


def train_through_range(words: Sequence[str], test: RangeTest, folder: Path) -> Run:
    """Run `fit` for the number of steps of the test; its files go into `folder`."""
    short = [*QUIET, *words, *SHORT, f"--trainer.max_steps={len(test.planned)}"]
    run = build(Request("fit", ["fit", *short]), callbacks=(test,), folder=folder)
    if run.trainer.world_size > 1:
        raise UsageError("tune-lr is one process; give --trainer.devices 1")
    run.trainer.callbacks = [each for each in run.trainer.callbacks if not isinstance(each, LEFT_OUT)]
    run.fit()
    return run


def main(given: list[str]) -> int:
    """Run the test, print the suggestion and draw the picture; returns the exit code.

    Raises:
        UsageError: for a wrong command, or if the loss never falls.
    """
    for flag in ("--resume", "--ckpt_path"):
        if option_values(given, flag):
            raise UsageError(f"{flag} does not go with tune-lr, which begins with new weights; leave it out")
    low, words = take_number(given, "--low", 1e-6)
    high, words = take_number(words, "--high", 10.0)
    steps, words = take_number(words, "--steps", 200)
    if not 0 < low < high < math.inf or not 20 <= steps < math.inf:
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
    rows = {
        "suggestion": f"{rate:.2g}",
        "tested": f"{test.rates[0]:.2g} to {test.rates[-1]:.2g}, {len(test.rates)} steps",
        "picture": str(path),
    }
    if rate >= SHARE * float(test.planned[-1]):
        rows["note"] = f"the loss is lowest at the end of the range; try --high {10 * high:g}"
    print_table(
        f"{name}: a tenth of the rate with the lowest loss", rows | how_to_use(run, test, rate, words)
    )
    return 0


def how_to_use(run: Run, test: RangeTest, rate: float, words: list[str]) -> dict[str, str]:
    """Rows of the table: the commands that train with the suggestion, or what to change where no flag sets the rate."""
    rates = test.group_rates
    where = f"{type(run.model).__name__}.configure_optimizers makes the optimizer"
    if max(rates) != min(rates):
        factor = rate / max(rates)
        scaled = ", ".join(f"{own:.2g} -> {own * factor:.2g}" for own in dict.fromkeys(rates))
        flags = scaled_flags(run.settings.model, factor)
        change = (
            train_py("fit", *words, *flags) if flags else f"no flag sets them all; change them where {where}"
        )
        return {
            "parameter groups": f"it is the highest of their rates; multiply all by {factor:.2g}: {scaled}",
            "train with it": change,
        }
    flag = flag_of(run.settings.model, rates[0])
    if flag is None:
        return {"train with it": f"no flag sets it, as far as the settings show; set it where {where}"}
    values = ",".join(f"{each:.2g}" for each in (rate / 3, rate, rate * 3))
    return {
        "train with it": train_py("fit", *words, f"--{flag}", f"{rate:.2g}"),
        "measure": train_py("sweep", *words, "--vary", f"{flag}={values}"),
    }


def scaled_flags(model: Namespace, factor: float) -> list[str]:
    """The flags that multiply the rates of all parameter groups; none for a model whose settings do not have them.

    Args:
        model: its settings. With a `max_lr` the schedule has rates of its own.
        factor: for all rates.
    """
    groups, rate = model.get("init_args.optimizer_groups"), model.get("init_args.optimizer.init_args.lr")
    has_groups = groups or model.get("init_args.layer_decay", 1) != 1
    if not has_groups or rate is None or model.get("init_args.scheduler.init_args.max_lr") is not None:
        return []
    flags = ["--model.optimizer.lr", f"{rate * factor:.2g}"]
    if groups and any("lr" in options for options in groups.values()):
        own = {
            pattern: {
                **options,
                **({"lr": float(f"{options['lr'] * factor:.2g}")} if "lr" in options else {}),
            }
            for pattern, options in groups.items()
        }
        flags += ["--model.optimizer_groups", json.dumps(own)]
    return flags


def flag_of(model: Namespace, rate: float) -> str | None:
    """The flag that sets the learning rate of a model; None if the settings do not show one.

    It is the only setting that is named like a rate and has the optimizer's value; a schedule's peak comes first.

    Args:
        model: its settings.
        rate: that of its optimizer.
    """
    same = [name for name, value in model.items() if RATE.search(name) and value == rate]
    peaks = [name for name in same if name.endswith("scheduler.init_args.max_lr")]
    found = peaks or same
    return f"model.{found[0].replace('init_args.', '')}" if len(found) == 1 else None


def take_number(words: list[str], name: str, default: float) -> tuple[float, list[str]]:
    """The value of an option as a number, and the words without it."""
    value, words = take_option(words, name)
    try:
        return default if value is None else float(value), words
    except ValueError:
        raise UsageError(f"{name} is {value}; it must be a number") from None


@drawing()
def draw(rates: list[float], losses: list[float], rate: float) -> Figure:
    """Loss against rate on a logarithmic scale, raw and smoothed, with the suggestion."""
    figure = new_figure()
    axes = figure.subplots()
    smoothed = smooth(losses)
    axes.plot(rates, losses, color=GRAY, linewidth=0.8, alpha=0.6, label="training loss")
    axes.plot(rates, smoothed, color=BLUE, label="smoothed")
    axes.axvline(rate, color=VERMILION, linestyle="--", label=f"suggestion: {rate:.2g}")
    finite = smoothed[np.isfinite(smoothed)]
    margin = 0.1 * (finite[0] - finite.min())
    axes.set_ylim(finite.min() - 2 * margin, max(finite[0], losses[0]) + 5 * margin)
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.grid()
    legend_below(figure, axes)
    return figure
