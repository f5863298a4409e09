"""A factor on the learning rate, that a slider sets while the training goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer


class RateFactor:
    """Multiplies the rates of optimizers just for the time of each step, so that schedules never see it.

    A factor of 1 changes nothing, to the bit.

    Args:
        optimizers: those of a training; one that is no `torch.optim.Optimizer` is left alone.
        factor: gives the factor.
    """

    def __init__(self, optimizers: Iterable[Any], factor: Callable[[], float]) -> None:
        self.factor = factor
        self._own: list[Any] = []  # the rates to restore after the step
        self._hooks: list[Any] = []
        for optimizer in optimizers:
            if isinstance(optimizer, Optimizer):
                self._hooks += [
                    optimizer.register_step_pre_hook(self._multiply),
                    optimizer.register_step_post_hook(self._restore),
                ]

    def remove(self) -> None:
        """Leave the optimizers as they were."""
        for hook in self._hooks:
            hook.remove()

    def _multiply(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        factor, self._own = self.factor(), []
        if factor == 1:
            return
        for group in optimizer.param_groups:
            rate = group.get("lr")
            self._own.append(rate.clone() if isinstance(rate, Tensor) else rate)
            if isinstance(rate, Tensor):
                rate.mul_(factor)
            elif rate is not None:
                group["lr"] = rate * factor

    def _restore(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        for group, own in zip(optimizer.param_groups, self._own, strict=False):
            if isinstance(own, Tensor):
                group["lr"].copy_(own)
            elif own is not None:
                group["lr"] = own
        self._own = []


def rate_of(optimizers: Iterable[Any]) -> float | None:
    """The rate of the first group of parameters; None where there is none."""
    for optimizer in optimizers:
        for group in getattr(optimizer, "param_groups", []):
            if group.get("lr") is not None:
                return float(group["lr"])
    return None
