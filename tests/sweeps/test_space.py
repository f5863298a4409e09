"""Values and ranges: how they are written, listed, drawn."""

import math

import numpy as np
import pytest
from scipy import stats

from runtime.errors import UsageError
from sweeps.space import Choice, Range, grid, number_in, parse_axis, random_settings, rest, words


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("1e-4,1e-3", ("1e-4", "1e-3")),
        ("[2,3],[4]", ("[2,3]", "[4]")),
        ("{class_path: SGD, init_args: {lr: 1}},Adam", ("{class_path: SGD, init_args: {lr: 1}}", "Adam")),
        ("null, relu", ("null", "relu")),
        ([0.0001, 1e-05, 3, True, None, "relu"], ("0.0001", "1e-05", "3", "true", "null", "relu")),
        ([[2, 3], []], ("[2, 3]", "[]")),
    ],
)
def test_a_list_on_the_command_line_and_in_a_file(given: object, values: tuple[str, ...]) -> None:
    assert parse_axis("--model.x", given) == Choice("model.x", values)


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("log:1e-4:1e-1", Range("x", "log", 1e-4, 1e-1)),
        ("float:-1:0.5", Range("x", "float", -1, 0.5)),
        ("int:1:5", Range("x", "int", 1, 5)),
    ],
)
def test_a_range(text: str, axis: Range) -> None:
    assert parse_axis("x", text) == axis


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "has no values"),
        ([], "has no values"),
        ("1,,2", "a value is missing between two commas"),
        ("1,2,1", "has 1 twice"),
        ("[1,2", "a bracket is missing"),
        ("log:1:0.1", "empty range"),
        ("float:1:1", "empty range"),
        ("float:0:inf", "empty range"),
        ("log:0:1", "begins above 0"),
        ("int:1:2.5", "whole numbers"),
        ("log:1", "a range is log:LOW:HIGH"),
        ("log:a:b", "a range is log:LOW:HIGH"),
        (3, "give a list, or a range"),
        (None, "give a list, or a range"),
    ],
)
def test_nothing_to_try_is_refused(given: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        parse_axis("model.x", given)
    assert "sweep.vary.model.x" in str(refused.value)


def test_of_many_numbers_the_ends_are_tried_and_of_words_all() -> None:
    assert parse_axis("a", "2,1,3,0.5,1e-3,0.1").examples() == ("1", "3", "0.5", "1e-3")
    assert parse_axis("a", "relu,[2],[3],nan,true").examples() == ("relu", "[2]", "[3]", "nan", "true")


@pytest.mark.parametrize(
    ("without", "left"),
    [
        (["model.optimizer"], "--data.fold=1 --model.init_args.hidden_sizes=[2] --model.init=he"),
        (["model.optimizer.lr", "model.init"], "--data.fold=1 --model.init_args.hidden_sizes=[2]"),
    ],
)
def test_rest(without: list[str], left: str) -> None:
    setting = {"data.fold": "1", "model.init_args.optimizer.init_args.lr": "0.1"}
    setting |= {"model.init_args.hidden_sizes": "[2]", "model.init": "he"}
    assert rest(setting, without) == left


def test_a_grid_has_every_combination_once() -> None:
    settings = grid([Choice("a", ("x", "y")), Range("b", "int", 1, 3)])
    assert settings == [{"a": a, "b": b} for a in "xy" for b in (1, 2, 3)]
    with pytest.raises(UsageError, match="b has a range; list its values"):
        grid([Range("b", "log", 1, 3)])


def test_drawn_values_fill_the_range_evenly_on_its_scale() -> None:
    axes = [Range("a", "log", 1e-4, 1e-1), Range("b", "float", -1, 1), Range("c", "int", 1, 4)]
    drawn = random_settings(list(axes), 1000, seed=0)
    logs = [math.log10(float(setting["a"])) for setting in drawn]
    assert stats.kstest(logs, stats.uniform(-4, 3).cdf).pvalue > 0.01
    assert stats.kstest([setting["b"] for setting in drawn], stats.uniform(-1, 2).cdf).pvalue > 0.01
    counts = np.bincount([int(setting["c"]) for setting in drawn])[1:]
    assert stats.chisquare(counts).pvalue > 0.01


def test_a_longer_search_begins_with_the_shorter_one() -> None:
    axes = [Range("a", "log", 1e-4, 1e-1)]
    assert random_settings(list(axes), 9, seed=0)[:4] == random_settings(list(axes), 4, seed=0)
    assert random_settings(list(axes), 4, seed=1) != random_settings(list(axes), 4, seed=0)


def test_random_settings_do_not_repeat() -> None:
    axes = [Choice("a", ("x", "y")), Choice("b", ("1", "2"))]
    settings = random_settings(list(axes), 10, seed=0)
    assert sorted(map(str, settings)) == sorted(map(str, grid(axes)))


def test_words_put_configs_first() -> None:
    assert words({"a.b": 0.1, "config": "c.yaml", "d": "[1, 2]"}) == [
        "--config=c.yaml",
        "--a.b=0.1",
        "--d=[1, 2]",
    ]


@pytest.mark.parametrize(
    ("value", "number"),
    [("1e-3", 0.001), (0.5, 0.5), ("[3]", 3.0), ("[3, 4]", None), ("relu", None), ("null", None)],
)
def test_number_in(value: str | float, number: float | None) -> None:
    assert number_in(value) == number
