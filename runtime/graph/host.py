"""What a training step does and reads in Python: a replay repeats the kernels of a step, and nothing else.

So a step cannot be recorded if it changes attributes of the module (a counter, a list of losses, a metric), or draws
random numbers on the host; and a recording fixes every number that the step took from Python.
"""

import operator
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from runtime.generators import global_states

NUMBERS = (int, float, bool, str, type(None))
CONTAINERS = (list, dict, set, deque)


class HostState:
    """The attributes of a module and its parts, and the random generators of the host, before a step.

    Args:
        model: the module.
        device: on which it runs; on a CPU, torch's generator is the device's.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self.model, self.device = model, device
        self.attributes = {(path, name): _kept(value) for path, name, value in _attributes(model)}
        self.random = global_states()

    def changed(self) -> str | None:
        """What the step changed, in words; None if nothing."""
        for path, name, value in _attributes(self.model):
            if not _is_same(self.attributes.pop((path, name), _kept), value):
                return f"the training step changes {_dotted(path, name)}"
        if self.attributes:
            return f"the training step removes {_dotted(*next(iter(self.attributes)))}"
        if self.has_drawn():
            return "the training step draws random numbers on the CPU"
        return None

    def has_drawn(self) -> bool:
        """Whether random numbers were drawn on the host."""
        python, numpy, torch_state = global_states()
        old = self.random
        same_numpy = np.array_equal(old[1][1], numpy[1]) and old[1][2:] == numpy[2:]
        same_torch = self.device.type == "cpu" or torch.equal(torch_state, old[2])
        return not (python == old[0] and same_numpy and same_torch)


class Fixed:
    """The numbers in a module's attributes, and where its tensors are: what a recording takes for granted."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._held = [
            (vars(module), name)
            for module in model.modules()
            for name, value in vars(module).items()
            if isinstance(value, NUMBERS) and not name.startswith("_")
        ]
        self._numbers = self._values()
        self._tensors = [*model.parameters(), *model.buffers()]
        self._places = self._where()

    def holds(self) -> bool:
        """Whether all of it is as it was."""
        return self._values() == self._numbers and self._where() == self._places

    def _values(self) -> list[Any]:
        return [held.get(name) for held, name in self._held]

    def _where(self) -> list[tuple[int, bool]]:
        return [(each.data_ptr(), each.requires_grad) for each in self._tensors]


class Watched:
    """A number or a progress of the loops while a step is recorded: any use of it is noted.

    Args:
        value: what it stands for.
        name: what the step would be said to use.
        reads: gets the name when it is used.
    """

    def __init__(self, value: Any, name: str, reads: list[str]) -> None:
        self._value, self._name, self._reads = value, name, reads

    def __getattr__(self, name: str) -> Any:
        self._reads.append(self._name)
        return getattr(self._value, name)


def _noting(operation: Callable[..., Any], *, is_swapped: bool = False) -> Any:
    def call(self: Watched, *args: Any) -> Any:
        self._reads.append(self._name)
        return operation(*args, self._value) if is_swapped else operation(self._value, *args)

    return call


TWO_SIDED = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
]
ONE_SIDED = ["neg", "pos", "abs", "eq", "ne", "lt", "le", "gt", "ge", "index"]
for _each in TWO_SIDED + ONE_SIDED:
    setattr(Watched, f"__{_each.strip('_')}__", _noting(getattr(operator, _each)))
for _each in TWO_SIDED:
    setattr(Watched, f"__r{_each.strip('_')}__", _noting(getattr(operator, _each), is_swapped=True))
for _call in (divmod, bool, int, float, hash, str, repr, format, round):
    setattr(Watched, f"__{_call.__name__}__", _noting(_call))


def _attributes(model: nn.Module) -> Iterator[tuple[str, str, Any]]:
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name not in ("_trainer", "_current_fx_name"):
                yield path, name, value


def _dotted(path: str, name: str) -> str:
    return ".".join(part for part in ("self", path, name) if part)


def _kept(value: Any) -> Any:
    """A value to compare with later; of a container, its present members."""
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, CONTAINERS) else value


def _is_same(kept: Any, value: Any) -> bool:
    if isinstance(value, NUMBERS) and isinstance(kept, NUMBERS):
        return kept == value or (kept != kept and value != value)
    if not isinstance(value, CONTAINERS):
        return kept is value
    if not isinstance(kept, list | dict) or len(kept) != len(value):
        return False
    now = _kept(value)
    if isinstance(now, dict) and isinstance(kept, dict):
        return kept.keys() == now.keys() and all(kept[name] is now[name] for name in now)
    return all(one is other for one, other in zip(kept, now, strict=True))
