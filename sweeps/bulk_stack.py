"""R small networks as one: stacked weights, and one optimizer for all that differ only in learning rate."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.optim import Optimizer

from lit_models.base import LitModel
from lit_models.groups import build_optimizer

Loss = Callable[[Tensor, Tensor], Tensor]  # logits (N, ...) and targets (N, ...) -> their mean loss


class Stack:
    """Networks of one architecture; `weights` holds one tensor (R, *shape) for each of their parameters.

    The networks have no buffers that change in training (such as batch norm's), so all use the first one's.
    """

    def __init__(self, models: Sequence[LitModel], device: torch.device) -> None:
        self.weights = stack_module_state([model.to(device) for model in models])[0]
        self._forward = vmap(partial(functional_call, models[0]), in_dims=(0, None))

    @property
    def num_runs(self) -> int:
        """R."""
        return len(next(iter(self.weights.values())))

    def logits(self, x: Tensor) -> Tensor:
        """Inputs (N, *in_shape) to the logits of all networks (R, N, ...)."""
        # No gradient with respect to the inputs is computed. But if they require one, `matmul` multiplies all first
        # layers at once, which is twice as fast as one after the other.
        return self._forward(self.weights, (x.detach().requires_grad_(),))

    def gradients(self, loss: Loss, logits: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        """Gradients of each network's own mean loss, in the order of `weights`.

        Takes logits (R, N, ...) and targets (N, ...). The mean over the samples of all networks, times R, is the sum of
        the networks' losses; only its own loss depends on a network's weights.
        """
        targets = target.expand(self.num_runs, *target.shape).flatten(0, 1)
        total = self.num_runs * loss(logits.flatten(0, 1), targets)
        return torch.autograd.grad(total, list(self.weights.values()))

    def copy(self) -> dict[str, Tensor]:
        """The current weights."""
        return {name: weight.detach().clone() for name, weight in self.weights.items()}

    def copy_to(self, model: LitModel, row: int) -> None:
        """Give a model the weights of one network."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(self.weights[name][row])


class Stepper:
    """The optimizer of neighboring networks whose settings differ only in learning rate, initial weights and seed.

    A step of the optimizers used here is proportional to the learning rate. So one optimizer steps all networks with
    learning rate 1, and then each network's step is multiplied by its own rate. This rate, and whatever else a schedule
    changes, comes from a separate optimizer and schedule for each setting, which hold a single number.

    Args:
        stack: holds the networks that are stepped.
        first: the first of these networks.
        models: one for each setting.
        counts: number of networks of each setting.
        total_steps, total_epochs: length of the training.
    """

    def __init__(
        self,
        stack: Stack,
        first: int,
        models: Sequence[LitModel],
        counts: Sequence[int],
        total_steps: int,
        total_epochs: int,
    ) -> None:
        self.rows = slice(first, first + sum(counts))
        self.weights = [weight.detach()[self.rows] for weight in stack.weights.values()]
        self.optimizer = build_optimizer(models[0].optimizer_factory, self.weights)
        self.schedules: dict[str, list[Any]] = {"step": [], "epoch": []}
        self._own: list[Optimizer] = []  # for each network, the optimizer of its setting
        for model, count in zip(models, counts, strict=True):
            optimizer, schedule = make_own(model, total_steps, total_epochs)
            self._own += count * [optimizer]
            if schedule:
                self.schedules[schedule["interval"]].append(schedule["scheduler"])

    @property
    def rates(self) -> list[float]:
        """The learning rate of each network."""
        return [own.param_groups[0]["lr"] for own in self._own]

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take one step against gradients (R, *shape)."""
        for weight, gradient in zip(self.weights, gradients, strict=True):
            # In the memory order of the weight: fused optimizers do not check it, and give wrong results silently.
            weight.grad = gradient[self.rows].contiguous()
        before = [weight.clone() for weight in self.weights]
        (group,) = self.optimizer.param_groups
        group.update({**self._own[0].param_groups[0], "params": self.weights, "lr": 1.0})
        if "fused" in group:
            group["fused"] = True  # twice as fast, equal up to rounding
        self.optimizer.step()
        rates = torch.tensor(self.rates, device=before[0].device)
        for old, weight in zip(before, self.weights, strict=True):
            torch.lerp(old, weight, rates.view(-1, *[1] * (old.dim() - 1)), out=weight)

    def step_schedules(self, interval: str) -> None:
        """Advance the schedules that count in this unit: "step" or "epoch"."""
        for schedule in self.schedules[interval]:
            schedule.step()


def make_own(model: LitModel, total_steps: int, total_epochs: int) -> tuple[Optimizer, dict[str, Any]]:
    """A setting's optimizer of a single number, and its schedule as Lightning describes it, empty if there is none."""
    chosen: Any = model.make_optimizer(
        [nn.Parameter(torch.zeros(1))], lambda: total_steps, lambda: total_epochs
    )
    return chosen["optimizer"], chosen.get("lr_scheduler", {})
