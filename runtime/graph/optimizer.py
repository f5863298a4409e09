"""An optimizer of torch.optim whose step can be recorded: its learning rates and its counts live on the device.

Schedules, callbacks and checkpoints see an ordinary optimizer: the settings that a recording needs are there only during
`step`.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer

FUSED = (Adam, AdamW, SGD)  # with one kernel for all parameters, on CPU and CUDA
NOT_FIXED = ("lr", "params")  # what a recording does not fix


def cannot_be_split(optimizer: Optimizer) -> str | None:
    """Why the optimizer's step cannot follow the backward pass as a call of its own; None if it can."""
    name = type(optimizer).__name__
    if isinstance(optimizer, LBFGS):
        return f"{name} evaluates the loss several times in a step"
    if not type(optimizer).__module__.startswith("torch.optim."):
        return f"the optimizer {name} is not of torch.optim"
    return None


class DeviceOptimizer:
    """Steps an optimizer with device-side learning rates.

    Args:
        optimizer: of torch.optim.
        device: of its parameters.
        flags: settings that are true during its step, such as `capturable`, where the optimizer has them.
    """

    def __init__(self, optimizer: Optimizer, device: torch.device, flags: tuple[str, ...]) -> None:
        self.optimizer = optimizer
        self.device = device
        self._rates: list[Tensor] = []
        self._values: list[float] = []  # of the rates on the device
        self._flags = flags

    @property
    def is_recordable(self) -> bool:
        """Whether its step can be recorded: it neither reads a number from the device nor keeps one on the host."""
        return all(self._settings(group) for group in self.optimizer.param_groups)

    def numbers(self) -> list[dict[str, Any]]:
        """All that a recording fixes: the settings other than learning rates, and which parameters there are."""
        return [
            {
                **{name: value for name, value in group.items() if name not in NOT_FIXED},
                "count": len(group["params"]),
            }
            for group in self.optimizer.param_groups
        ]

    def refresh(self) -> None:
        """Bring the learning rates to the device, where they changed."""
        groups = self.optimizer.param_groups
        if len(self._rates) != len(groups):
            self._values = [float(group["lr"]) for group in groups]
            self._rates = [torch.tensor(value, device=self.device) for value in self._values]
            self._move_counts()
        for place, group in enumerate(groups):
            if (value := group["lr"]) != self._values[place]:
                self._rates[place].fill_(value)
                self._values[place] = float(value)

    def step(self) -> None:
        """The optimizer's step, with gradients that are there."""
        self.refresh()
        with self.on_device():
            self.optimizer.step()

    @contextlib.contextmanager
    def on_device(self) -> Iterator[None]:
        """Give the groups their settings for a step."""
        groups = self.optimizer.param_groups
        before = [dict(group) for group in groups]
        for group, rate in zip(groups, self._rates, strict=True):
            if settings := self._settings(group):
                group.update(settings, lr=rate)
        try:
            yield
        finally:
            for group, old in zip(groups, before, strict=True):
                group.update({name: old[name] for name in group.keys() & old.keys()})

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        """The flags of a group during its step; none if the optimizer has none of them."""
        settings = {name: True for name in self._flags if name in group}
        wished = group.get("foreach") or group.get("fused") is False or group.get("differentiable")
        if wished or not isinstance(self.optimizer, FUSED):
            settings.pop("fused", None)
        if "capturable" not in group and not settings.get("fused"):
            return {}  # SGD's step reads its rate on the host unless it is fused
        return settings

    def _move_counts(self) -> None:
        """The counts of steps that a checkpoint had on the host."""
        for group in self.optimizer.param_groups:
            if not self._settings(group):
                continue
            for parameter in group["params"]:
                state = self.optimizer.state.get(parameter, {})
                if isinstance(state.get("step"), Tensor):
                    state["step"] = state["step"].to(self.device, torch.float32)
