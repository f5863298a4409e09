"""What a page may ask for, and what is refused."""

import math
from typing import Any

import pytest

from pages.watch.controls import Controls


@pytest.mark.parametrize(
    "message",
    [
        None, [], "play", {}, {"do": "fit"}, {"do": ["play"]}, {"do": "play", "value": 1}, {"do": "speed", "value": 7},
        {"do": "speed", "value": [1]}, {"do": "rate", "value": 1000}, {"do": "rate", "value": math.nan},
        {"do": "rate", "value": True}, {"do": "rate", "value": "1"}, {"do": "restart", "value": -1},
        {"do": "restart", "value": 2**32}, {"do": "restart", "value": True}, {"do": "draw", "value": [0.0] * 5000},
        {"do": "draw", "value": 784}, {"do": "kernel", "value": [1] * 8}, {"do": "kernel", "value": [1e9] * 9},
        {"do": "kernel", "value": ["1"] * 9}, {"do": "kernel", "value": [math.inf] * 9}, {"do": "image", "value": 5},
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_changes_nothing(message: Any) -> None:
    controls = Controls()
    before = controls.state()
    assert not controls.receive(message)
    assert controls.state() == before
    assert controls.seed is None
    assert controls.take_changes() == []


def test_a_page_plays_only_what_can_be_trained() -> None:
    controls = Controls(can_train=False)
    controls.opened()
    for message in ({"do": "play", "value": True}, {"do": "step"}):
        controls.receive(message)
        assert not controls.may_step()
    assert not controls.receive({"do": "restart", "value": 1})


def test_steps_are_counted() -> None:
    controls = Controls()
    controls.opened()
    controls.receive({"do": "step"})
    controls.receive({"do": "step"})
    assert [controls.may_step() for _ in range(3)] == [True, True, False]


def test_a_step_ends_the_play() -> None:
    controls = Controls()
    controls.opened()
    controls.receive({"do": "play", "value": True})
    controls.receive({"do": "step"})
    assert [controls.may_step() for _ in range(2)] == [True, False]


def test_waiting_ends_with_a_change() -> None:
    controls = Controls()
    controls.receive({"do": "image", "value": 1})
    controls.wait(1000.0)
    assert controls.take_changes() == [{"do": "image", "value": 1}]
