"""The values given to `self.log`, kept with less copying."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from runtime.private import LoggedValue, LoggedValues


class Results(LoggedValues):
    """What was logged in this epoch.

    Lightning copies all of it after every step, even if nothing was logged. At every call of `self.log` it moves each
    part of the sum to the device, although nearly always all of them are there already.
    """

    changed = True  # since the last copy

    def __init__(self, training: bool) -> None:
        super().__init__(training)
        self.names: set[str] = set()  # logged in this batch

    def log(self, fx: str, name: str, *args: Any, **kwargs: Any) -> None:
        self.changed = True
        self.names.add(name)
        super().log(fx, name, *args, **kwargs)

    def __setitem__(self, key: str, result: LoggedValue) -> None:
        if result.is_tensor:
            result.to = partial(moved, result)  # type: ignore[method-assign]
        super().__setitem__(key, result)


def moved(result: LoggedValue, device: torch.device) -> LoggedValue:
    """The result with its tensors on a device; most are there already."""
    tensors = [each for each in vars(result).values() if isinstance(each, Tensor)]
    return result if all(each.device == device for each in tensors) else LoggedValue.to(result, device)
