"""Small networks in bulk: runs that differ in learning rate, optimizer, seed or initial weights train as one.

A step of a small network costs what Python and PyTorch take to start its operations, hardly what they compute. Here
the weights of R runs are the rows of one matrix, `vmap` sends one batch through all R networks at once, and every
setting's own `torch.optim` optimizer and schedule step the rows of its seeds: elementwise optimizers do to a row
what they would do to the network alone. Each run ends with the weights that it would have trained alone, up to
rounding.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.optim.lr_scheduler import ReduceLROnPlateau

from cli.sweeps.bulk_results import Curves, write_run
from cli.sweeps.plan import Plan
from cli.sweeps.space import Setting, key
from cli.sweeps.study import Queue, Run
from cli.sweeps.trials import TrialCLI, silence
from datamodules.base import TensorDataModule
from lit_models import LitLinear, LitMLP
from lit_models.base import LitModel

MAX_RUNS = 64  # trained together; what is left waits, also for other processes
ELEMENTWISE = [
    "SGD",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Rprop",
    "ASGD",
]  # of torch.optim: what happens to a weight depends on that weight alone
FREE = ("model.optimizer", "model.scheduler", "model.init")  # beside the seed, in what runs may differ
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


class Prepared(TrialCLI):
    """A setting's model, data and config, not trained."""

    model: LitModel
    datamodule: TensorDataModule

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        accelerator = self.settings.trainer.accelerator
        return Trainer(accelerator=accelerator, devices=1, logger=False, enable_checkpointing=False)

    def before_fit(self) -> None:
        """There is no run yet."""

    def fit(self, **kwargs: Any) -> None:
        """Training is what this module does for all settings at once."""


@dataclass(frozen=True)
class Group:
    """Runs of one setting: neighbouring rows of all that is stacked."""

    cli: Prepared
    runs: list[Run]


def could_join(plan: Plan) -> bool:
    """Whether a sweep has runs that could train together, if its model and data allow it."""
    if plan.options.prune or plan.sampler == "tpe":  # these choose run by run
        return False
    return len(plan.seeds) > 1 or any(axis.flag.startswith(FREE) for axis in plan.axes)


def split_off(setting: Setting) -> str:
    """What is left of a setting without that in which runs trained together may differ."""
    return key({flag: value for flag, value in setting.items() if not flag.startswith(FREE)})


def bundles(runs: list[Run]) -> list[list[Run]]:
    """Runs that may train together, those of a setting side by side."""
    ordered = sorted(runs, key=lambda run: (split_off(run.setting), key(run.setting), run.seed))
    return [list(bundle) for _, bundle in groupby(ordered, key=lambda run: split_off(run.setting))]


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
    if optimizer not in ELEMENTWISE:
        return f"{optimizer} does not treat each weight for itself"
    if isinstance(schedule_of(chosen).get("scheduler"), ReduceLROnPlateau):
        return "ReduceLROnPlateau follows each run's own metric"
    return None


def schedule_of(chosen: Any) -> dict[str, Any]:
    """The schedule in what `make_optimizer` returns; empty where there is none."""
    return chosen.get("lr_scheduler", {})


def train_together(plan: Plan, queue: Queue, runs: list[Run], tick: Callable[[float], None]) -> str | None:
    """Train runs that may train together and tell the study how they ended, or say why it cannot be done.

    Args:
        runs: as `bundles` gives them.
        tick: told after every epoch how much is done, from 0 to 1.

    Returns:
        None, or the reason; then nothing has been trained or told.
    """
    started = time.perf_counter()
    with silence():
        groups = []
        for _, members in groupby(runs, key=lambda run: key(run.setting)):
            same = list(members)
            cli = Prepared([*plan.fit_words(same[0].setting, same[0].seed), f"--run_name={plan.name}"])
            if reason := why_not(cli.model, cli.datamodule, cli.settings):
                return reason
            groups.append(Group(cli, same))
        curves = train_rows(plan, groups, tick)
        row = 0
        outcomes = []
        for group in groups:
            for run in group.runs:
                outcomes.append((run, *write_run(group.cli, run.seed, curves, row, plan.monitor)))
                row += 1
    seconds = round((time.perf_counter() - started) / len(runs), 3)
    for run, folder, metrics in outcomes:
        found = {"folder": str(folder), "metrics": metrics, "seconds": seconds, "together": len(runs)}
        if math.isfinite(score := metrics.get(plan.monitor, math.nan)):
            queue.complete(run, score, **found)
        else:
            queue.fail(run, f"{plan.monitor} is {score}", **found)
    return None


def train_rows(plan: Plan, groups: list[Group], tick: Callable[[float], None]) -> Curves:
    """The training itself: as Lightning's fit, epoch by epoch, with R networks in the place of one."""
    model, data, trainer = groups[0].cli.model, groups[0].cli.datamodule, groups[0].cli.trainer
    data.trainer = trainer  # it tells the device, and that there is one process
    data.setup("fit")
    device = trainer.strategy.root_device
    loader, val_loader = data.train_dataloader(), data.val_dataloader()
    max_epochs: int = groups[0].cli.settings.trainer.max_epochs
    log_every: int = groups[0].cli.settings.trainer.log_every_n_steps or 50
    model.to(device)
    stacked = Stack([fresh(group.cli.model, run.seed) for group in groups for run in group.runs], device)
    schedules = stacked.optimizers(groups, max_epochs * len(loader))
    curves = Curves(stacked.matrix, plan.monitor, plan.mode)

    def losses(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return model.task.loss(functional_call(model, weights, (x,)), y)

    all_losses = vmap(losses, in_dims=(0, None, None))
    all_logits = vmap(lambda weights, x: functional_call(model, weights, (x,)), in_dims=(0, None))
    step = 0
    for epoch in range(max_epochs):
        model.train()
        loader.set_epoch(epoch)
        for x, y in loader:
            values = all_losses(stacked.weights, x, model.target(x, y))
            stacked.step(values)
            for schedule in schedules["step"]:
                schedule.step()
            step += 1
            if step % log_every == 0:
                curves.log(step - 1, epoch, {"train/loss": values.detach()})
        for schedule in schedules["epoch"]:
            schedule.step()
        model.eval()
        with torch.no_grad():
            outputs = [(all_logits(stacked.weights, x), model.target(x, y)) for x, y in val_loader]
        curves.validate(step, epoch, list(measure(model, outputs, len(stacked.matrix))))
        tick((epoch + 1) / max_epochs)
    curves.final = {"epoch": max_epochs - 1, "step": step}
    return curves


def measure(
    model: LitModel, outputs: list[tuple[Tensor, Tensor]], num_runs: int
) -> Iterator[dict[str, float]]:
    """Each run's validation metrics, from logits (R, N, K) and targets (N, ...) of every batch."""
    for row in range(num_runs):
        for logits, target in outputs:
            model.add_to_metrics(model.val_metrics, logits[row], target)
        yield {f"val/{name}": float(metric.compute()) for name, metric in model.val_metrics.items()}
        for metric in model.val_metrics.values():
            metric.reset()


def fresh(model: LitModel, seed: int) -> LitModel:
    """A model of the same settings, with the initial weights that its own run would draw with this seed."""
    own = ("optimizer", "scheduler", "_class_path", "_instantiator")
    arguments = {name: value for name, value in model.hparams.items() if name not in own}
    pl.seed_everything(seed, workers=True, verbose=False)
    return type(model)(**arguments)


class Stack:
    """The weights of R models as the rows of one matrix (R, P), and views of it that `functional_call` takes."""

    def __init__(self, models: list[LitModel], device: torch.device) -> None:
        weights = {name: weight.detach() for name, weight in stack_module_state(models)[0].items()}
        sizes = [weight[0].numel() for weight in weights.values()]
        self.matrix = torch.cat([weight.flatten(1) for weight in weights.values()], dim=1).to(device)
        self.gradients = torch.zeros_like(self.matrix)
        shapes = [weight.shape for weight in weights.values()]
        columns = [part.view(shape) for part, shape in zip(self.matrix.split(sizes, 1), shapes, strict=True)]
        self.weights = {
            name: part.detach().requires_grad_() for name, part in zip(weights, columns, strict=True)
        }
        self._into = [
            part.view(shape) for part, shape in zip(self.gradients.split(sizes, 1), shapes, strict=True)
        ]
        self._optimizers: list[torch.optim.Optimizer] = []

    def optimizers(self, groups: list[Group], total_steps: int) -> dict[str, list[Any]]:
        """Make every setting's own optimizer, on its rows; the schedules, by what they count ("step", "epoch")."""
        schedules: dict[str, list[Any]] = {"step": [], "epoch": []}
        start = 0
        for group in groups:
            rows = slice(start, start + len(group.runs))
            start = rows.stop
            parameter = nn.Parameter(self.matrix[rows])
            parameter.grad = self.gradients[rows]
            chosen: Any = group.cli.model.make_optimizer([parameter], lambda: total_steps)
            self._optimizers.append(chosen["optimizer"])
            if schedule := schedule_of(chosen):
                schedules[schedule["interval"]].append(schedule["scheduler"])
        return schedules

    def step(self, losses: Tensor) -> None:
        """Losses (R,) to gradients to new weights."""
        # A run's loss does not depend on another's weights, so the gradient of the sum has each run's own in its row.
        found = torch.autograd.grad(losses.sum(), list(self.weights.values()))
        torch._foreach_copy_(self._into, found)
        for optimizer in self._optimizers:
            optimizer.step()
