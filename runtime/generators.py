"""Random generators: the global ones, set aside for a while, and those that samplers and data sets have of their own."""

import random
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

Generator = random.Random | np.random.Generator | np.random.RandomState | torch.Generator
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)
LEAVES = (str, bytes, int, float, complex, bool, type(None), type, ModuleType, np.ndarray, torch.Tensor)
MOST_OBJECTS = 10_000  # looked at in search of generators; larger collections hold samples


class OwnRandom:
    """Global generators with a state of their own: each `with` continues where the last one ended.

    Args:
        seed: of Python's, NumPy's and PyTorch's generator.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._inside: tuple[Any, ...] | None = None
        self._outside: tuple[Any, ...] = ()

    def __enter__(self) -> None:
        self._outside = global_states()
        if self._inside is None:
            random.seed(self.seed)
            np.random.seed(self.seed)
            torch.default_generator.manual_seed(self.seed)  # `torch.manual_seed` would seed the GPU too
        else:
            restore_global_states(self._inside)

    def __exit__(self, *error: object) -> None:
        self._inside = global_states()
        restore_global_states(self._outside)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from freshly seeded generators, and restore the global ones afterwards."""
    with OwnRandom(seed):
        yield


def global_states() -> tuple[Any, ...]:
    """The states of Python's, NumPy's and PyTorch's global generators."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def restore_global_states(states: tuple[Any, ...]) -> None:
    """Restore what `global_states` returned."""
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def reseed(generator: Generator, seed: int) -> None:
    """Let a generator start anew."""
    if isinstance(generator, np.random.Generator):
        fresh = type(generator.bit_generator)(seed)  # type: ignore[call-arg]
        generator.bit_generator.state = fresh.state
    elif isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    else:
        generator.seed(seed)


def generators_in(*roots: object) -> list[Generator]:
    """The generators that objects hold, at any depth, and those that their methods use by a global name."""
    found: list[Generator] = []
    waiting, known = deque(roots), set[int]()
    while waiting and len(known) < MOST_OBJECTS:
        each = waiting.popleft()
        if id(each) in known or isinstance(each, LEAVES):
            continue
        known.add(id(each))
        if isinstance(each, GENERATORS):
            found.append(each)
        else:
            waiting.extend(parts_of(each))
    return found


def parts_of(value: Any) -> Iterator[object]:
    """What an object is made of: attributes, members, bound arguments, and what its functions refer to."""
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple) and len(value) < MOST_OBJECTS:
        yield from value
    elif isinstance(value, FunctionType):
        yield from (cell.cell_contents for cell in value.__closure__ or () if has_contents(cell))
        named = (value.__globals__.get(name) for name in value.__code__.co_names)
        yield from (each for each in named if isinstance(each, GENERATORS))
    elif isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    else:
        yield from getattr(value, "__dict__", {}).values()
        for cls in type(value).__mro__:
            if not cls.__module__.startswith(("torch.", "builtins")):
                yield from (each for each in vars(cls).values() if isinstance(each, FunctionType))


def has_contents(cell: Any) -> bool:
    """Whether a variable of a closure has been assigned."""
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
