"""The training of R small networks as one, on the same batches."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from jsonargparse import Namespace
from pytorch_lightning import Trainer
from torch.func import vmap

from datamodules.base import TensorDataModule
from lit_models.base import Batch, LitModel
from sweeps.bulk_results import Curves
from sweeps.bulk_stack import Stack, Stepper
from sweeps.plan import Plan
from sweeps.space import Setting, Value, number_in, rest
from sweeps.study import Run
from sweeps.trials import DEFAULTS, TrialCLI

# Flags in which the settings of one `Stepper` may differ.
RATES = ("model.optimizer.lr", "model.scheduler.max_lr", "model.init", "model.init_gain")


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

    def switched(self, words: list[str], changes: Setting) -> "Prepared":
        """The same for another setting on the same data, with the parser, which takes longest to make.

        Args:
            words: of the other setting.
            changes: in what it differs.
        """
        other = copy.copy(self)
        other.config = Namespace(subcommand="fit", fit=self.settings.clone())
        if not all(replace_number(other.settings, flag, value) for flag, value in changes.items()):
            other.config.fit = self._parser("fit").parse_args([*DEFAULTS, *words])
        del other.config_dump
        other._add_instantiators()
        other.instantiate_classes()
        other.datamodule = self.datamodule
        return other

    def _dump_config(self) -> None:
        """From this a model takes its hyper-parameters; unlike Lightning's, nothing is validated once more."""
        if hasattr(self, "config_dump"):
            return
        fit = self._parser("fit")
        options = fit.dump(self.settings, skip_link_targets=False, skip_unset=False, skip_validation=True)
        self.config_dump = yaml.safe_load(options)


def replace_number(settings: Namespace, flag: str, value: Value) -> bool:
    """Put a value into a config that was read, which is faster than to read it again.

    Returns:
        Whether flag and value are a real number; if not, nothing has changed.
    """
    node = settings
    *path, name = flag.replace("init_args.", "").split(".")
    for part in path:
        node = node[part].get("init_args", node[part])
    number = number_in(value)
    if number is None or not isinstance(node.get(name), float):
        return False
    node[name] = number
    return True


@dataclass(frozen=True)
class Group:
    """Runs of one setting: neighboring rows of all that is stacked.

    Args:
        cli: model, data and config of the setting.
        runs: they differ in the seed.
        reason: why they cannot train together with others; None where they can.
    """

    cli: Prepared
    runs: list[Run]
    reason: str | None


def train_rows(plan: Plan, groups: list[Group], tick: Callable[[float], None]) -> Curves:
    """The training itself: as Lightning's fit, epoch by epoch, with R networks in the place of one."""
    model, data, trainer = groups[0].cli.model, groups[0].cli.datamodule, groups[0].cli.trainer
    data.trainer = trainer  # from it the data take the device, and that there is one process
    data.setup("fit")
    loader, val_batches = data.train_dataloader(), list(data.val_dataloader())
    max_epochs: int = groups[0].cli.settings.trainer.max_epochs
    log_every: int = groups[0].cli.settings.trainer.log_every_n_steps or 50
    device = trainer.strategy.root_device
    model.to(device)
    stack = Stack([new_model(group.cli.model, run.seed) for group in groups for run in group.runs], device)
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
                stepper.step_schedules("step")
            step += 1
            if step % log_every == 0:
                curves.log(step - 1, epoch, all_losses(logits.detach(), target))
        for stepper in steppers:
            stepper.step_schedules("epoch")
        curves.validate(step, epoch, list(measure(stack, model, val_batches)))
        tick((epoch + 1) / max_epochs)
    curves.final = {"epoch": max_epochs - 1, "step": step}
    return curves


def make_steppers(stack: Stack, groups: list[Group], total_steps: int) -> list[Stepper]:
    """One for all neighbors that differ in nothing but what a stepper allows."""
    steppers, first = [], 0
    for _, members in groupby(groups, key=lambda group: rest(group.runs[0].setting, RATES)):
        alike = list(members)
        counts = [len(group.runs) for group in alike]
        steppers.append(Stepper(stack, first, [group.cli.model for group in alike], counts, total_steps))
        first += sum(counts)
    return steppers


@torch.no_grad()
def measure(stack: Stack, model: LitModel, batches: list[Batch]) -> Iterator[dict[str, float]]:
    """Each run's validation metrics, which the model measures with the run's weights in the place of its own."""
    model.eval()
    for row in range(stack.num_runs):
        stack.copy_to(model, row)
        for batch in batches:
            model.update_metrics(model.val_metrics, batch)
        yield {f"val/{name}": float(metric.compute()) for name, metric in model.val_metrics.items()}
        for metric in model.val_metrics.values():
            metric.reset()


def new_model(model: LitModel, seed: int) -> LitModel:
    """A model of the same settings, with the initial weights that its own run would draw with this seed."""
    own = ("optimizer", "scheduler", "_class_path", "_instantiator")
    arguments = {name: value for name, value in model.hparams.items() if name not in own}
    pl.seed_everything(seed, workers=True, verbose=False)
    return type(model)(**arguments)
