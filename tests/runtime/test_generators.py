"""Generators are found wherever an object keeps them, and can start anew."""

import random
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from runtime.generators import OwnRandom, generators_in, reseed

MADE: list[Any] = [
    random.Random(3),
    np.random.default_rng(3),
    np.random.Generator(np.random.MT19937(3)),
    np.random.RandomState(3),
    torch.Generator(),
]
of_this_module = np.random.default_rng(3)


class UsesGlobal:
    def __getitem__(self, index: int) -> float:
        return float(of_this_module.random()) + index


class Slotted:
    __slots__ = ("rng",)


def closure(generator: Any) -> Any:
    return lambda x: x + generator.random()


def draw(generator: Any) -> float:
    if isinstance(generator, torch.Generator):
        return torch.rand((), generator=generator).item()
    return float(generator.random() if hasattr(generator, "random") else generator.rand())


@pytest.mark.parametrize("generator", MADE, ids=lambda each: type(each).__name__)
def test_a_generator_starts_anew(generator: Any) -> None:
    drawn = []
    for seed in (1, 1, 2):
        reseed(generator, seed)
        drawn.append(draw(generator))
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("generator", MADE, ids=lambda each: type(each).__name__)
def test_it_is_found_at_any_depth(generator: Any) -> None:
    wrap = SimpleNamespace
    places = (
        generator,
        [generator],
        {"rng": (generator,)},
        wrap(inner=wrap(transforms=[wrap(rng=generator)])),
    )
    places += (
        closure(generator),
        partial(max, generator),
        partial(max, key=generator),
        wrap(call=closure(generator)),
    )
    for place in places:
        assert generators_in(place, place) == [generator]


def test_one_that_methods_use_by_a_global_name_is_found() -> None:
    assert generators_in(UsesGlobal()) == [of_this_module]
    assert generators_in(UsesGlobal().__getitem__) == [of_this_module]


def test_nothing_is_found_where_there_is_none() -> None:
    circle: list[Any] = [1, "a", None, np.zeros(3), torch.zeros(3), random, np.random, Slotted()]
    circle.append(circle)
    assert generators_in(circle, {"module": torch.nn.Linear(2, 2)}) == []


def test_own_random_numbers_continue_and_leave_the_others_alone() -> None:
    def three() -> list[float]:
        return [random.random(), float(np.random.rand()), torch.rand(()).item()]

    own = OwnRandom(5)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = [three(), three()]
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    drawn, inside = [], []
    for _ in range(2):
        drawn.append(three())
        with own:
            inside.append(three())
    assert drawn == expected
    with OwnRandom(5):
        assert [three(), three()] == inside
