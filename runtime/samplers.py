"""The state that a sampler keeps between epochs, such as a count of them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

NUMBERS = (bool, int, float)


class SamplerState:
    """What changes in the samplers of a loader: numbers, lists of numbers, and what their `state_dict` says.

    A run that resumes within an epoch draws the epoch's order again, from the state before it was drawn. One that
    resumes between two epochs needs the state after that. So both are saved.

    Args:
        loader: its sampler and batch sampler are watched, and those inside them.
    """

    def __init__(self, loader: DataLoader) -> None:
        self.samplers = samplers_of(loader)
        self.first = [numbers_of(each) for each in self.samplers]
        self._before = self._now()
        self._drawn: list[int] = []  # the epoch and pass whose order was drawn last
        self._loaded: dict[str, Any] | None = None

    def save(self) -> dict[str, Any]:
        """The states before and after the last order was drawn."""
        return {"drawn": self._drawn, "before": self._before, "now": self._now()}

    def load(self, state: dict[str, Any] | None) -> None:
        """Keep the result of `save`, until it is known which epoch comes."""
        self._loaded = state

    def begin(self, *drawn: int) -> None:
        """Restore the state from which the order of this epoch and pass is drawn, which may not be for the first time."""
        state = self._loaded or self.save()
        if self._loaded is not None or state["drawn"] == [*drawn]:
            self._restore(state["before"] if state["drawn"] == [*drawn] else state["now"])
        self._loaded = None
        self._before, self._drawn = self._now(), [*drawn]

    def _now(self) -> list[dict[str, Any]]:
        states = []
        for sampler, first in zip(self.samplers, self.first, strict=True):
            numbers = numbers_of(sampler)
            changed = {name: value for name, value in numbers.items() if not same(value, first.get(name))}
            state: dict[str, Any] = {"numbers": changed}
            if has_state(sampler):
                state["own"] = sampler.state_dict()
            states.append(state)
        return states

    def _restore(self, states: list[dict[str, Any]]) -> None:
        for sampler, first, state in zip(self.samplers, self.first, states, strict=False):
            for name, value in {**first, **state["numbers"]}.items():
                put(sampler, name, value)
            if "own" in state and has_state(sampler):
                sampler.load_state_dict(state["own"])


def samplers_of(loader: DataLoader) -> list[Any]:
    """A loader's samplers, without those of PyTorch, which keep nothing."""
    found: dict[int, Any] = {}
    for each in (loader.sampler, loader.batch_sampler):
        while each is not None and id(each) not in found:
            found[id(each)] = each
            each = getattr(each, "sampler", None)
    return [each for each in found.values() if not type(each).__module__.startswith("torch.utils.data")]


def numbers_of(sampler: Any) -> dict[str, Any]:
    """The attributes of a sampler that are numbers, and copies (N,) of those that are lists of numbers."""
    found: dict[str, Any] = {}
    for name, value in getattr(sampler, "__dict__", {}).items():
        if type(value) in NUMBERS:
            found[name] = value
        elif isinstance(value, Tensor):
            found[name] = value.clone()
        elif isinstance(value, np.ndarray) or (
            isinstance(value, list) and value and type(value[0]) in NUMBERS
        ):
            array = np.array(value, dtype=None if isinstance(value, np.ndarray) else _type_of(value))
            if array.dtype.kind in "if":
                found[name] = torch.from_numpy(array)
    return found


def _type_of(values: list[Any]) -> type:
    """The type of an array that holds a list exactly; `object` if it has other members than numbers."""
    types = {type(value) for value in values}
    return int if types == {int} else float if types == {float} else object


def same(value: Any, other: Any) -> bool:
    """Whether two numbers or two lists of them are equal."""
    if isinstance(value, Tensor) or isinstance(other, Tensor):
        return isinstance(value, Tensor) and isinstance(other, Tensor) and torch.equal(value, other)
    return bool(value == other)


def put(sampler: Any, name: str, value: Any) -> None:
    """Give an attribute its value back, in place if it is a list, which others may share."""
    now = getattr(sampler, name, None)
    if isinstance(value, Tensor) and isinstance(now, list):
        now[:] = value.tolist()
    elif isinstance(value, Tensor) and isinstance(now, np.ndarray):
        now[...] = value.numpy()
    else:
        setattr(sampler, name, value.clone() if isinstance(value, Tensor) else value)


def has_state(sampler: Any) -> bool:
    """Whether a sampler saves and restores its own state."""
    return all(callable(getattr(sampler, name, None)) for name in ("state_dict", "load_state_dict"))
