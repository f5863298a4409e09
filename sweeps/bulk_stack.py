"""R small networks as one: their weights side by side, and one optimizer for all that differ in learning rate only."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models import LitLinear, LitMLP
from lit_models.base import LitModel, build_optimizer

Loss = Callable[[Tensor, Tensor], Tensor]  # logits (N, K) and targets (N, ...) to their mean loss


class Stack:
    """Networks of one architecture, `weights` holding one tensor (R, *shape) for each of their parameters.

    Inside, the samples are the last dimension: whole rows of memory are then computed alike, and the first layer,
    whose inputs are the same for all networks, is one product of two matrices.
    """

    def __init__(self, models: Sequence[LitModel], device: torch.device) -> None:
        model = models[0]
        assert isinstance(model, LitLinear | LitMLP)
        self.layers: list[nn.Module] = [model.linear] if isinstance(model, LitLinear) else list(model.layers)
        parameters = [dict(each.named_parameters()) for each in models]
        self.weights = {
            name: torch.stack([each[name].detach() for each in parameters]).to(device).requires_grad_()
            for name in parameters[0]
        }

    @property
    def num_runs(self) -> int:
        """R."""
        return len(next(iter(self.weights.values())))

    def logits(self, x: Tensor) -> Tensor:
        """Inputs (N, *in_shape) to the logits of all networks (R, N, K)."""
        weights = iter(self.weights.values())
        signal = x.flatten(1).T  # (F, N), from the first layer on (R, width, N)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                weight = next(weights)
                bias = weight.new_zeros(weight.shape[:2]) if layer.bias is None else next(weights)
                signal = linear(signal, weight, bias)
            else:
                signal = layer(signal)
        return signal.transpose(1, 2)

    def gradients(self, loss: Loss, logits: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        """Of each network's own mean loss, in the order of `weights`, from logits (R, N, K) and targets (N, ...).

        The mean over the samples of all networks, times R, is the sum of their losses; of these, only its own depends
        on a network's weights.
        """
        targets = target.expand(self.num_runs, *target.shape).flatten(0, 1)
        total = self.num_runs * loss(logits.flatten(0, 1), targets)
        return torch.autograd.grad(total, list(self.weights.values()))

    def copy(self) -> dict[str, Tensor]:
        """The weights as they are now."""
        return {name: weight.detach().clone() for name, weight in self.weights.items()}


def linear(signal: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """weight signal + bias for all networks: inputs (F, N) or (R, F, N), weight (R, K, F), bias (R, K)."""
    if signal.dim() == 3:
        return torch.baddbmm(bias.unsqueeze(2), weight, signal)
    return torch.addmm(bias.reshape(-1, 1), weight.flatten(0, 1), signal).unflatten(0, bias.shape)


class Stepper:
    """The optimizer of neighboring networks whose settings differ in learning rate, initial weights and seed only.

    A step of the optimizers that come here is proportional to the learning rate. So one optimizer steps all networks
    with learning rate 1, and each then goes its own share of the way. What this rate is at each step, and what else a
    schedule changes, is told by the optimizers of the settings themselves, each made for a single number.

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
            chosen: Any = model.make_optimizer([nn.Parameter(torch.zeros(1))], lambda: total_steps)
            self._own += count * [chosen["optimizer"]]
            if schedule := schedule_of(chosen):
                self.schedules[schedule["interval"]].append(schedule["scheduler"])

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take one step against gradients (R, *shape)."""
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient[self.rows]
        before = [weight.clone() for weight in self.weights]
        (group,) = self.optimizer.param_groups
        group.update({**self._own[0].param_groups[0], "params": self.weights, "lr": 1.0})
        if "fused" in group:
            group["fused"] = True  # twice as fast, equal up to rounding
        self.optimizer.step()
        rates = torch.tensor([own.param_groups[0]["lr"] for own in self._own], device=before[0].device)
        for old, weight in zip(before, self.weights, strict=True):
            torch.lerp(old, weight, rates.view(-1, *[1] * (old.dim() - 1)), out=weight)


def schedule_of(chosen: Any) -> dict[str, Any]:
    """The schedule in what `make_optimizer` returns; empty where there is none."""
    return chosen.get("lr_scheduler", {})
