"""Small networks in bulk: runs that differ in learning rate, optimizer, seed or initial weights train as one.

A step of a small network costs what Python and PyTorch take to start its operations, hardly what they compute. Here
one batch goes through R networks at once, whose weights lie side by side, and elementwise optimizers do to them what
they would do to each alone. So each run ends with the weights that it would have trained alone, up to rounding.
"""

import math
import time
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from datamodules.base import TensorDataModule
from lit_models import LitLinear, LitMLP
from sweeps.bulk_results import write_run
from sweeps.bulk_stack import schedule_of
from sweeps.bulk_training import RATES, Group, train_rows
from sweeps.plan import Plan
from sweeps.space import key, rest
from sweeps.study import Queue, Run
from sweeps.trials import Build, Fit, in_words, silence

MAX_RUNS = 64  # trained together; what is left waits, also for other processes
# Of torch.optim: each weight is treated for itself, and the step is proportional to the learning rate.
PROPORTIONAL = ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta"]
# Beside the seed, in what runs may differ.
FREE = ("model.optimizer", "model.scheduler", "model.scheduler_interval", "model.init", "model.init_gain")
PLAIN_TRAINER: dict[
    str, tuple[Any, ...]
] = {  # options, and the values with which an epoch is what it is here
    "precision": (None, "32-true", 32, "32"),
    "max_steps": (-1,),
    "max_time": (None,),
    "min_steps": (None,),
    "limit_train_batches": (None, 1.0),
    "limit_val_batches": (None, 1.0),
    "overfit_batches": (0, 0.0),
    "val_check_interval": (None, 1.0),
    "check_val_every_n_epoch": (1,),
    "accumulate_grad_batches": (1,),
    "gradient_clip_val": (None,),
    "callbacks": (None, []),
    "logger": (None, True),
    "enable_checkpointing": (None, True),
}


def could_join(plan: Plan) -> bool:
    """Whether a sweep has runs that could train together, if its model and data allow it."""
    if plan.options.prune or plan.sampler == "tpe":  # these choose run by run
        return False
    return len(plan.seeds) > 1 or any(not rest({axis.flag: ""}, FREE) for axis in plan.axes)


def bundles(runs: list[Run]) -> list[list[Run]]:
    """Runs that may train together, those of a setting side by side, and beside them those that share a `Stepper`."""
    ordered = sorted(
        runs,
        key=lambda run: (rest(run.setting, FREE), rest(run.setting, RATES), key(run.setting), run.seed),
    )
    return [list(bundle) for _, bundle in groupby(ordered, key=lambda run: rest(run.setting, FREE))]


def why_not(model: pl.LightningModule, data: object, settings: Any) -> str | None:
    """The reason why runs of this model on these data cannot train together; None where they can."""
    if type(model) not in (LitLinear, LitMLP):
        return f"{type(model).__name__} is neither LitLinear nor LitMLP"
    if not isinstance(data, TensorDataModule):
        return f"{type(data).__name__} is no TensorDataModule"
    if getattr(data, "augment", None):
        return "data.augment draws anew for each run"
    if model.hparams.get("dropout"):
        return "model.dropout draws anew for each run"
    if model.compile_network:
        return "model.compile is set"
    if not settings.monitor.startswith("val/"):
        return f"--monitor {settings.monitor} is not measured in validation"
    for name, plain in PLAIN_TRAINER.items():
        if settings.trainer[name] not in plain:
            return f"trainer.{name} is set"
    chosen: Any = model.make_optimizer([nn.Parameter(torch.zeros(1))], lambda: 100)
    optimizer = type(chosen["optimizer"]).__name__
    if optimizer not in PROPORTIONAL:
        return f"{optimizer} does not step each weight for itself, in proportion to the learning rate"
    if isinstance(schedule_of(chosen).get("scheduler"), ReduceLROnPlateau):
        return "ReduceLROnPlateau follows each run's own metric"
    return None


def train_together(
    plan: Plan, queue: Queue, build: Build, runs: list[Run], tick: Callable[[float], None]
) -> str | None:
    """Train runs that may train together and tell the study how they ended, or say why it cannot be done.

    Args:
        build: makes a run of its words.
        runs: as `bundles` gives them.
        tick: told after every epoch how much is done, from 0 to 1.

    Returns:
        None, or the reason; then nothing has been trained or told.
    """
    started = time.perf_counter()
    with silence():
        groups, failed = prepare_all(plan, build, runs)
        if reasons := [group.reason for group in groups if group.reason]:
            return reasons[0]
        for run, error in failed:
            queue.fail(run, error)
        if not groups:
            return None
        curves = train_rows(plan, groups, tick)
        pairs = [(group, run) for group in groups for run in group.runs]
        seconds = round((time.perf_counter() - started) / len(pairs), 3)
        for row, (group, run) in enumerate(pairs):
            folder, metrics = write_run(group.fit, run.seed, curves, row, plan.monitor)
            found = {"folder": str(folder), "metrics": metrics, "seconds": seconds, "together": len(pairs)}
            if math.isfinite(score := metrics.get(plan.monitor, math.nan)):
                queue.complete(run, score, **found)
            else:
                queue.fail(run, f"{plan.monitor} is {score}", **found)
    return None


def prepare_all(plan: Plan, build: Build, runs: list[Run]) -> tuple[list[Group], list[tuple[Run, str]]]:
    """The settings of some runs, and the runs whose setting is wrong, with the error."""
    groups: list[Group] = []
    failed: list[tuple[Run, str]] = []
    for _, members in groupby(runs, key=lambda run: key(run.setting)):
        same = list(members)
        try:
            fit = prepare(plan, build, same[0], groups[0] if groups else None)
            groups.append(Group(fit, same, why_not(fit.model, fit.datamodule, fit.settings)))
        except Exception as error:
            failed += [(run, in_words(error)) for run in same]
    return groups, failed


def prepare(plan: Plan, build: Build, run: Run, first: Group | None) -> Fit:
    """Model, data and config of a run; with the parser and the data of the first group, where there is one."""
    words = [*plan.fit_words(run.setting, run.seed), f"--run_name={plan.name}"]
    if first is None:
        return build(words, with_trainer=False)
    before = first.runs[0].setting
    changes = {flag: value for flag, value in run.setting.items() if value != before[flag]}
    return build(words, like=first.fit, changes=changes)
