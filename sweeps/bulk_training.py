"""The training of R small networks as one, on the same batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.func import vmap

from lit_models.base import LitModel
from sweeps.bulk_results import Curves
from sweeps.bulk_stack import Stack, Stepper
from sweeps.plan import Plan
from sweeps.space import rest
from sweeps.study import Run
from sweeps.trials import Fit

# In what settings may differ that share a `Stepper`.
RATES = ("model.optimizer.lr", "model.scheduler.max_lr", "model.init", "model.init_gain")


@dataclass(frozen=True)
class Group:
    """Runs of one setting: neighboring rows of all that is stacked.

    Args:
        fit: model, data and config of the setting.
        runs: they differ in the seed.
        reason: why they cannot train together with others; None where they can.
    """

    fit: Fit
    runs: list[Run]
    reason: str | None


def train_rows(plan: Plan, groups: list[Group], tick: Callable[[float], None]) -> Curves:
    """The training itself: as Lightning's fit, epoch by epoch, with R networks in the place of one."""
    model, data, settings = groups[0].fit.model, groups[0].fit.datamodule, groups[0].fit.settings
    trainer = pl.Trainer(
        accelerator=settings.trainer.accelerator, devices=1, logger=False, enable_checkpointing=False
    )
    data.trainer = trainer  # it tells the device, and that there is one process
    data.setup("fit")
    loader, val_loader = data.train_dataloader(), data.val_dataloader()
    max_epochs: int = groups[0].fit.settings.trainer.max_epochs
    log_every: int = groups[0].fit.settings.trainer.log_every_n_steps or 50
    device = trainer.strategy.root_device
    model.to(device)
    stack = Stack([fresh(group.fit.model, run.seed) for group in groups for run in group.runs], device)
    steppers = make_steppers(stack, groups, max_epochs * len(loader))
    curves = Curves(stack, plan.monitor, plan.mode)
    all_losses = vmap(model.task.loss, in_dims=(0, None))
    step = 0
    for epoch in range(max_epochs):
        model.train()
        loader.set_epoch(epoch)
        for x, y in loader:
            logits, target = stack.logits(x), model.target(x, y)
            gradients = stack.gradients(model.task.loss, logits, target)
            for stepper in steppers:
                stepper.step(gradients)
                for schedule in stepper.schedules["step"]:
                    schedule.step()
            step += 1
            if step % log_every == 0:
                curves.log(step - 1, epoch, {"train/loss": all_losses(logits.detach(), target)})
        for stepper in steppers:
            for schedule in stepper.schedules["epoch"]:
                schedule.step()
        model.eval()
        with torch.no_grad():
            outputs = [(stack.logits(x), model.target(x, y)) for x, y in val_loader]
        curves.validate(step, epoch, list(measure(model, outputs)))
        tick((epoch + 1) / max_epochs)
    curves.final = {"epoch": max_epochs - 1, "step": step}
    return curves


def make_steppers(stack: Stack, groups: list[Group], total_steps: int) -> list[Stepper]:
    """One for all neighbors that differ in nothing but what a stepper allows."""
    steppers, first = [], 0
    for _, members in groupby(groups, key=lambda group: rest(group.runs[0].setting, RATES)):
        alike = list(members)
        counts = [len(group.runs) for group in alike]
        steppers.append(Stepper(stack, first, [group.fit.model for group in alike], counts, total_steps))
        first += sum(counts)
    return steppers


def measure(model: LitModel, outputs: list[tuple[Tensor, Tensor]]) -> Iterator[dict[str, float]]:
    """Each run's validation metrics, from logits (R, N, K) and targets (N, ...) of every batch."""
    for row in range(len(outputs[0][0])):
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
