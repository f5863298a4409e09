"""R small networks as one: their weights stacked, and one optimizer for all that differ in learning rate only."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.optim import Optimizer

from lit_models.base import LitModel, build_optimizer

Loss = Callable[[Tensor, Tensor], Tensor]  # logits (N, ...) and targets (N, ...) to their mean loss


class Stack:
    """Networks of one architecture, `weights` holding one tensor (R, *shape) for each of their parameters.

    The networks have no buffers that change in training (as of batch norm): the first one's are used for all.
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
        # Inputs that require a gradient, though none is computed, make `matmul` multiply all first layers at once,
        # twice as fast as one after the other.
        return self._forward(self.weights, (x.detach().requires_grad_(),))

    def gradients(self, loss: Loss, logits: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        """Of each network's own mean loss, in the order of `weights`, from logits (R, N, ...) and targets (N, ...).

        The mean over the samples of all networks, times R, is the sum of their losses; of these, only its own depends
        on a network's weights.
        """
        targets = target.expand(self.num_runs, *target.shape).flatten(0, 1)
        total = self.num_runs * loss(logits.flatten(0, 1), targets)
        return torch.autograd.grad(total, list(self.weights.values()))

    def copy(self) -> dict[str, Tensor]:
        """The weights as they are now."""
        return {name: weight.detach().clone() for name, weight in self.weights.items()}

    def copy_to(self, model: LitModel, row: int) -> None:
        """Give a model the weights of one network."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(self.weights[name][row])


class Stepper:
    """The optimizer of neighboring networks whose settings differ in learning rate, initial weights and seed only.

    A step of the optimizers that come here is proportional to the learning rate. So one optimizer steps all networks
    with learning rate 1, and then each network keeps as much of its step as its own rate says. This rate, and whatever
    else a schedule changes, comes from an optimizer and a schedule that each setting has for itself, of a single number.

    Args:
        stack: of which some networks are stepped.
        first: the first of them.
        models: one of each setting.
        counts: how many networks each setting has.
        total_steps: length of the training.
    """

    def __init__(
        self, stack: Stack, first: int, models: Sequence[LitModel], counts: Sequence[int], total_steps: int
    ) -> None:
        self.rows = slice(first, first + sum(counts))
        self.weights = [weight.detach()[self.rows] for weight in stack.weights.values()]
        self.optimizer = build_optimizer(models[0].optimizer_factory, self.weights)
        self.schedules: dict[str, list[Any]] = {"step": [], "epoch": []}
        self._own: list[Optimizer] = []  # for each network, its setting's
        for model, count in zip(models, counts, strict=True):
            optimizer, schedule = make_own(model, total_steps)
            self._own += count * [optimizer]
            if schedule:
                self.schedules[schedule["interval"]].append(schedule["scheduler"])

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take one step against gradients (R, *shape)."""
        for weight, gradient in zip(self.weights, gradients, strict=True):
            # In the memory order of the weight: the fused optimizers do not check it, and go wrong without a word.
            weight.grad = gradient[self.rows].contiguous()
        before = [weight.clone() for weight in self.weights]
        (group,) = self.optimizer.param_groups
        group.update({**self._own[0].param_groups[0], "params": self.weights, "lr": 1.0})
        if "fused" in group:
            group["fused"] = True  # twice as fast, equal up to rounding
        self.optimizer.step()
        rates = torch.tensor([own.param_groups[0]["lr"] for own in self._own], device=before[0].device)
        for old, weight in zip(before, self.weights, strict=True):
            torch.lerp(old, weight, rates.view(-1, *[1] * (old.dim() - 1)), out=weight)

    def step_schedules(self, interval: str) -> None:
        """Advance the schedules that count this: "step" or "epoch"."""
        for schedule in self.schedules[interval]:
            schedule.step()


def make_own(model: LitModel, total_steps: int) -> tuple[Optimizer, dict[str, Any]]:
    """A setting's optimizer, of a single number, and its schedule as Lightning describes it; empty for none."""
    chosen: Any = model.make_optimizer([nn.Parameter(torch.zeros(1))], lambda: total_steps)
    return chosen["optimizer"], chosen.get("lr_scheduler", {})
