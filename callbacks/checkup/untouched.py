"""Read loaders and draw random numbers without a trace: afterwards everything is as it was."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Iterable, Iterator
from types import MethodType
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.utils.data import DataLoader

_LARGEST = 10_000  # containers above this are data, which nobody changes while reading


@contextlib.contextmanager
def untouched(*roots: Any) -> Iterator[None]:
    """Restore random numbers, and the state of loaders, samplers and data sets, at the end; read without workers.

    Args:
        roots: a module, data, loaders. Whatever they refer to as attributes is restored as well: attributes, small
            containers and random generators, but not what is inside submodules, tensors and arrays.
    """
    states = [_State(each) for each in _reachable(roots)]
    with isolate_rng(include_cuda=torch.cuda.is_available()):
        for each in states:
            _read_in_this_process(each.owner)
        try:
            yield
        finally:
            for each in states:
                each.restore()


def _read_in_this_process(owner: Any) -> None:
    """Starting workers takes longer than reading a few batches, and they would still run when training starts."""
    if isinstance(owner, DataLoader) and owner.num_workers > 0:
        own = {"num_workers": 0, "prefetch_factor": None, "persistent_workers": False, "pin_memory": False}
        own |= {"timeout": 0, "_iterator": None, "_DataLoader__multiprocessing_context": None}
        vars(owner).update(own, _in_training=dict(vars(owner)))


def in_training(loader: DataLoader, option: str) -> Any:
    """An option of a loader as the training has it, such as `num_workers`; here it is read without workers."""
    return vars(loader).get("_in_training", vars(loader))[option]


def state_of(owner: Any) -> Any:
    """A copy of a generator's state, of a small container, or of an object's attributes."""
    if isinstance(owner, torch.Generator):
        return owner.get_state()
    if isinstance(owner, random.Random):
        return owner.getstate()
    if isinstance(owner, np.random.Generator):
        return owner.bit_generator.state
    if isinstance(owner, np.random.RandomState):
        return owner.get_state()
    if isinstance(owner, list | dict | set):
        return owner.copy()
    return dict(vars(owner))


class _State:
    """One object's state, so that it can be restored in place."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.saved = state_of(owner)

    def restore(self) -> None:
        """Put the state back into the same object."""
        owner, saved = self.owner, self.saved
        if isinstance(owner, torch.Generator):
            owner.set_state(saved)
        elif isinstance(owner, random.Random):
            owner.setstate(saved)
        elif isinstance(owner, np.random.Generator):
            owner.bit_generator.state = saved
        elif isinstance(owner, np.random.RandomState):
            owner.set_state(saved)
        elif isinstance(owner, list):
            owner[:] = saved
        elif isinstance(owner, dict | set):
            owner.clear()
            owner.update(saved)
        else:
            vars(owner).clear()
            vars(owner).update(saved)


_GENERATORS = (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)
_ATOMS = (str, bytes, int, float, bool, type, Tensor, np.ndarray, type(None))
_OTHERS = (pl.Trainer, pl.Callback, Logger, logging.Logger)  # what the training belongs to, not the data


def generators_of(*roots: Any) -> list[Any]:
    """The random generators that these objects hold, at any depth of their attributes."""
    return [each for each in _reachable(roots) if isinstance(each, _GENERATORS)]


def _reachable(roots: Iterable[Any]) -> list[Any]:
    """All objects with a state that can be reached through attributes and small containers."""
    found: dict[int, Any] = {}
    waiting, modules = list(roots), [each for each in roots if isinstance(each, nn.Module)]
    while waiting and len(found) < _LARGEST:
        each = waiting.pop()
        if isinstance(each, nn.Module) and each not in modules:
            continue
        if isinstance(each, MethodType):  # such as a transform: it may draw from what its owner holds
            each = each.__self__
        if isinstance(each, tuple) and len(each) <= _LARGEST:
            waiting.extend(each)
        if id(each) in found or not _has_state(each):
            continue
        found[id(each)] = each
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list | set):
            waiting.extend(each)
        elif not isinstance(each, _GENERATORS):
            waiting.extend(vars(each).values())
            of_class = [value for base in type(each).__mro__ for value in vars(base).values()]
            waiting.extend(value for value in of_class if isinstance(value, _GENERATORS))
    return list(found.values())


def _has_state(each: Any) -> bool:
    if isinstance(each, _ATOMS + _OTHERS):
        return False
    if isinstance(each, list | dict | set):
        return len(each) <= _LARGEST
    if isinstance(each, _GENERATORS):
        return True
    module = type(each).__module__.partition(".")[0]
    return hasattr(each, "__dict__") and module not in ("builtins", "pandas", "pytorch_lightning", "types")
