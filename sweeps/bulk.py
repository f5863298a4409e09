"""Small networks in bulk: runs that differ in learning rate, optimizer, seed or initial weights train as one.

A step of a small network costs what Python and PyTorch need to start its operations; the computing itself costs hardly
anything. Here one batch goes through R networks at once, with stacked weights (`torch.func`). Elementwise optimizers
treat the stack as they would treat each network alone. So each run ends with the weights that it would have if it
trained alone, up to rounding.
"""

import math
import time
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytorch_lightning as pl
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from datamodules.base import TensorDataModule
from sweeps.bulk_results import write_run
from sweeps.bulk_stack import make_own
from sweeps.bulk_training import RATES, Group, train_rows
from sweeps.overrides import draws_at_random, own_hook, path_of
from sweeps.plan import Plan
from sweeps.space import key, rest
from sweeps.study import Queue, Run
from sweeps.trials import Build, Fit, in_words, silence

LONG = 10**9  # steps or epochs, longer than any warm-up
MAX_RUNS = 64  # trained together; the others wait, also for other processes
# Tested to end as if trained alone. On a CPU, 64 dense networks of the configs take together 0.05 to 0.6 times the CPU
# time that they take alone; 8 convolutional ones of mnist_convnet take twice as much, and `vmap` does not support nn.GRU.
TOGETHER = ("lit_models.linear.LitLinear", "lit_models.mlp.LitMLP", "lit_models.autoencoder.LitAutoencoder")
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
# Optimizers of torch.optim that treat each weight separately, with a step proportional to the learning rate.
PROPORTIONAL = ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta"]
# Runs that train together may differ in these flags, and in the seed.
FREE = ("model.optimizer", "model.scheduler", "model.scheduler_interval", "model.init", "model.init_gain")
# Options of the trainer, and the values under which an epoch here equals Lightning's.
PLAIN_TRAINER: dict[str, tuple[Any, ...]] = {
    "precision": (None, "32-true", 32, "32"),
    "max_steps": (-1,),
    "max_time": (None,),
    "min_steps": (None,),
    "limit_train_batches": (None, 1.0),
    "limit_val_batches": (None, 1.0),
    "overfit_batches": (0, 0.0),
    "reload_dataloaders_every_n_epochs": (0,),
    "val_check_interval": (None, 1.0),
    "check_val_every_n_epoch": (1,),
    "accumulate_grad_batches": (1,),
    "gradient_clip_val": (None,),
    "callbacks": (None, []),
    "plugins": (None, []),
    "logger": (None, True),
    "enable_checkpointing": (None, True),
}


def could_join(plan: Plan) -> bool:
    """Whether a sweep has runs that could train together if its model and data allow it."""
    if plan.options.prune or plan.sampler == "tpe":  # these choose run by run
        return False
    return len(plan.seeds) > 1 or any(not rest({axis.flag: ""}, FREE) for axis in plan.axes)


def bundles(runs: list[Run]) -> list[list[Run]]:
    """Runs that may train together; in a bundle, runs of one setting and settings of one `Stepper` are neighbors."""
    ordered = sorted(
        runs,
        key=lambda run: (rest(run.setting, FREE), rest(run.setting, RATES), key(run.setting), run.seed),
    )
    return [list(bundle) for _, bundle in groupby(ordered, key=lambda run: rest(run.setting, FREE))]


def why_not(model: pl.LightningModule, data: object, settings: Any) -> str | None:
    """The reason why runs of this model on these data cannot train together; None if they can."""
    name = type(model).__name__
    if path_of(type(model)) not in TOGETHER:  # a subclass may train differently
        return f"{name} is none of {', '.join(known.rpartition('.')[2] for known in TOGETHER)}"
    if any(isinstance(module, CONVOLUTIONS) for module in model.modules()):
        return f"this {name} has convolutions, which are no faster together"
    if not isinstance(data, TensorDataModule):
        return f"{type(data).__name__} is no TensorDataModule"
    if reason := own_hook(model, data):
        return reason
    if getattr(data, "augment", None):
        return "data.augment draws anew for each run"
    if model.hparams.get("dropout"):
        return "model.dropout draws anew for each run"
    if model.optimizer_groups or model.frozen or not model.decay_biases_and_norms or model.layer_decay != 1:
        return "the model has parameter groups or frozen parameters"
    if model.pretrained is not None:  # loaded in `setup`, which is not called here
        return "model.pretrained is set"
    if model.task.balances:  # set in `setup`, which is not called here
        return f"model.{model.task.balances} is balanced"
    if model.compile_network:
        return "model.compile is set"
    if not settings.monitor.startswith("val/"):
        return f"--monitor {settings.monitor} is not measured in validation"
    if (settings.trainer.max_epochs or 0) < 1:
        return "trainer.max_epochs gives no number of epochs"
    for option, plain in PLAIN_TRAINER.items():
        if settings.trainer[option] not in plain:
            return f"trainer.{option} is set"
    optimizer, schedule = make_own(model, LONG, LONG)
    if type(optimizer).__name__ not in PROPORTIONAL:
        return f"{type(optimizer).__name__} does not step each weight for itself, in proportion to the learning rate"
    if isinstance(schedule.get("scheduler"), ReduceLROnPlateau):
        return "ReduceLROnPlateau follows each run's own metric"
    return None


def train_together(
    plan: Plan, queue: Queue, build: Build, runs: list[Run], tick: Callable[[float], None]
) -> str | None:
    """Train runs together and report to the study how they ended, or return why this is impossible.

    Args:
        build: makes a run from its words.
        runs: as `bundles` returns them.
        tick: called after every epoch with the finished share, from 0 to 1.

    Returns:
        None, or the reason; then nothing was trained or reported.
    """
    started = time.perf_counter()
    with silence():
        groups, failed = prepare_all(plan, build, runs)
        if reasons := [group.reason for group in groups if group.reason]:
            return reasons[0]
        if not groups:
            report_failed(queue, failed)
            return None
        data = groups[0].fit.datamodule
        if len({run.seed for group in groups for run in group.runs}) > 1 and draws_at_random(data):
            return f"{type(data).__name__} loads other data with each seed"
        try:
            data.setup("fit")
            if len(data.splits["train"]) > 2:
                return f"the batches of {type(data).__name__} hold more than inputs and targets"
            curves = train_rows(plan, groups, tick)
        except (
            Exception
        ) as error:  # of this network or data; alone they may train, or each run says what is wrong
            return f"together they fail with {in_words(error)}"
        report_failed(queue, failed)
        pairs = [(group, run) for group in groups for run in group.runs]
        seconds = round((time.perf_counter() - started) / len(pairs), 3)
        for row, (group, run) in enumerate(pairs):
            folder, metrics = write_run(group.fit, run.seed, curves, row, seconds)
            found = {"folder": str(folder), "metrics": metrics, "seconds": seconds, "together": len(pairs)}
            if math.isfinite(score := metrics.get(plan.monitor, math.nan)):
                queue.complete(run, score, **found)
            else:
                queue.fail(run, f"{plan.monitor} is {score}", **found)
    return None


def report_failed(queue: Queue, failed: list[tuple[Run, str]]) -> None:
    """Record the runs whose setting is wrong."""
    for run, error in failed:
        queue.fail(run, error)


def prepare_all(plan: Plan, build: Build, runs: list[Run]) -> tuple[list[Group], list[tuple[Run, str]]]:
    """The settings of some runs, and the runs whose setting is wrong, each with its error."""
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
    """Model, data and config of a run; reuses the parser and the data of the first group, if there is one."""
    words = [*plan.fit_words(run.setting, run.seed), f"--run_name={plan.name}"]
    if first is None:
        return build(words, with_trainer=False)
    before = first.runs[0].setting
    changes = {flag: value for flag, value in run.setting.items() if value != before[flag]}
    return build(words, like=first.fit, changes=changes)
