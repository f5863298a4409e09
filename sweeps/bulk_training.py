"""Train R small networks as one, on the same batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import pytorch_lightning as pl
import torch
from torch.func import vmap

from datamodules.base import TensorDataModule
from lit_models.base import Batch, LitModel
from lit_models.metrics import measured, names_in
from sweeps.bulk_results import Curves
from sweeps.bulk_stack import Stack, Stepper
from sweeps.plan import Plan
from sweeps.space import rest
from sweeps.study import Run
from sweeps.trials import Fit

# Flags in which the settings of one `Stepper` may differ.
RATES = ("model.optimizer.lr", "model.scheduler.max_lr", "model.init", "model.init_gain")


@dataclass(frozen=True)
class Group:
    """Runs of one setting: neighboring rows of everything that is stacked.

    Args:
        fit: model, data and config of the setting.
        runs: they differ only in the seed.
        reason: why they cannot train together with others; None if they can.
    """

    fit: Fit
    runs: list[Run]
    reason: str | None


def train_rows(plan: Plan, groups: list[Group], tick: Callable[[float], None]) -> Curves:
    """The training itself: epoch by epoch like Lightning's fit, but with R networks instead of one."""
    model, data, settings = groups[0].fit.model, groups[0].fit.datamodule, groups[0].fit.settings
    trainer = pl.Trainer(
        accelerator=settings.trainer.accelerator, devices=1, logger=False, enable_checkpointing=False
    )
    data.trainer = trainer  # gives the data the device and the number of processes, one
    data.setup("fit")
    loader, val_batches = data.train_dataloader(), list(data.val_dataloader())
    max_epochs: int = settings.trainer.max_epochs
    log_every: int = settings.trainer.log_every_n_steps or 50
    device = trainer.strategy.root_device
    model.to(device)
    stack = Stack([new_model(group.fit.model, run.seed) for group in groups for run in group.runs], device)
    steppers = make_steppers(stack, groups, max_epochs * len(loader), max_epochs)
    curves = Curves(stack, plan.monitor, plan.mode)
    all_losses = vmap(model.task.loss, in_dims=(0, None))
    step = 0
    for epoch in range(max_epochs):
        model.train()
        loader.set_epoch(epoch)
        for x, y in loader:
            if step == 0 or (step + 1) % log_every == 0:
                curves.log_rates(step, [rate for stepper in steppers for rate in stepper.rates])
            logits, target = stack.logits(x), model.target(x, y)
            gradients = stack.gradients(model.task.loss, logits, target)
            for stepper in steppers:
                stepper.step(gradients)
                stepper.step_schedules("step")
            step += 1
            if step % log_every == 0 or step == max_epochs * len(loader):
                curves.log(step - 1, epoch, all_losses(logits.detach(), target))
        for stepper in steppers:
            stepper.step_schedules("epoch")
        curves.validate(step, epoch, list(measure(stack, model, data, val_batches)))
        tick((epoch + 1) / max_epochs)
    curves.final = {"epoch": max_epochs - 1, "step": step}
    return curves


def make_steppers(stack: Stack, groups: list[Group], total_steps: int, total_epochs: int) -> list[Stepper]:
    """One stepper for all neighbors that differ only in what a stepper allows."""
    steppers, first = [], 0
    for _, members in groupby(groups, key=lambda group: rest(group.runs[0].setting, RATES)):
        alike = list(members)
        counts = [len(group.runs) for group in alike]
        models = [group.fit.model for group in alike]
        steppers.append(Stepper(stack, first, models, counts, total_steps, total_epochs))
        first += sum(counts)
    return steppers


@torch.no_grad()
def measure(
    stack: Stack, model: LitModel, data: TensorDataModule, batches: list[Batch]
) -> Iterator[dict[str, float]]:
    """Each run's validation metrics; the model computes them with the run's weights instead of its own."""
    model.eval()
    for row in range(stack.num_runs):
        stack.copy_to(model, row)
        for batch in batches:
            model.update_metrics(model.val_metrics, batch)
        yield {
            f"val/{name}": float(value) for name, value in measured(model.val_metrics, names_in(data)).items()
        }
        for metric in model.val_metrics.values():
            metric.reset()


def new_model(model: LitModel, seed: int) -> LitModel:
    """A model of the same settings, with the initial weights that a run with this seed would draw."""
    own = ("optimizer", "scheduler", "_class_path", "_instantiator")
    arguments = {name: value for name, value in model.hparams.items() if name not in own}
    pl.seed_everything(seed, workers=True, verbose=False)
    return type(model)(**arguments)
