"""The training of R small networks as one: their weights are the rows of a matrix, stepped together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from cli.sweeps.bulk_results import Curves
from cli.sweeps.plan import Plan
from cli.sweeps.study import Run
from cli.sweeps.trials import TrialCLI
from datamodules.base import TensorDataModule
from lit_models.base import LitModel


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


def schedule_of(chosen: Any) -> dict[str, Any]:
    """The schedule in what `make_optimizer` returns; empty where there is none."""
    return chosen.get("lr_scheduler", {})
