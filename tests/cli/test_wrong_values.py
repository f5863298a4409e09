"""A value of the wrong type: what is expected, and how it would be written."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import pytest
import torch
from pytorch_lightning.loggers import Logger

from cli.wrong_values import allows_null, argument_type, wrong_value

Precision = Literal[64, 32, 16, "16-mixed", "bf16-mixed", "32-true", "64-true", "64", "32", "16", "bf16"]
Betas = tuple[float | torch.Tensor, float | torch.Tensor]


@pytest.mark.parametrize(
    ("expected", "value", "message"),
    [
        (Sequence[int], "3", "expected list of int, not 3; write [3]"),
        (list[int], "3,4", "expected list of int, not 3,4; write [3,4]"),
        (list[int] | None, "(3, 4)", "expected list of int, not (3, 4); write [3,4]"),
        (Iterable[int], "3 4", "expected list of int, not 3 4; write [3,4]"),
        (Sequence[int], "[3;4]", "expected list of int, not [3;4]; write [3,4]"),
        (Sequence[int], "3.5", "expected list of int, not 3.5"),
        (Sequence[int], "a", "expected list of int, not a"),
        (Sequence[int], "", "expected list of int, not ''"),
        (Sequence[int], "{a:1}", "expected list of int, not {a:1}"),
        (list[float], "0.5", "expected list of float, not 0.5; write [0.5]"),
        (list[str], "val/loss x", "expected list of str, not val/loss x"),
        (list[str], "male,Age", "expected list of str, not male,Age; write [male,Age]"),
        (int | list[int], "1,2", "expected int or list of int, not 1,2; write [1,2]"),
        (Betas, "0.9,0.99", "expected list of 2 float, not 0.9,0.99; write [0.9,0.99]"),
        (Betas, "0.9", "expected list of 2 float, not 0.9"),
        (tuple[int, ...], "3", "expected list of int, not 3; write [3]"),
        (int, "1e3", "expected int, not 1e3; write 1000"),
        (int | None, "10.0", "expected int, not 10.0; write 10"),
        (int, "1.5", "expected int, not 1.5"),
        (int, "nan", "expected int, not nan"),
        (float, "0,1", "expected float, not 0,1; write 0.1"),
        (float, "0.1;0.2", "expected float, not 0.1;0.2"),
        (bool, "0", "expected bool, not 0; write false"),
        (bool, "perhaps", "expected bool, not perhaps"),
        (bool | Logger | Iterable[Logger], "3", "expected bool or a Logger, as its name or as class_path"),
        (str | list[str], "[3, 'Age']", "expected str or list of str, not [3, 'Age']"),
    ],
)
def test_a_value_of_the_wrong_type(expected: Any, value: str, message: str) -> None:
    found = wrong_value(value, expected)
    assert found.startswith(message)
    assert ("; write " in found) == ("; write " in message)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        *(
            (name, "16-mixed")
            for name in ("fp16", "FP16", "float16", "torch.float16", "half", "mixed", "amp")
        ),
        *((name, "bf16-mixed") for name in ("bfloat16", "torch.bfloat16", "BF16-mixed")),
        *((name, "32-true") for name in ("fp32", "float32", "single", "32true")),
        *((name, "64-true") for name in ("fp64", "double", "torch.float64")),
    ],
)
def test_other_names_of_a_precision(value: str, meant: str) -> None:
    assert wrong_value(value, Precision | None).endswith(f"; did you mean {meant}?")


def test_a_choice_is_listed_once_and_nothing_is_suggested_where_nothing_is_near() -> None:
    assert wrong_value("8", Precision) == (
        "'8' is not one of 64, 32, 16, 16-mixed, bf16-mixed, 32-true, 64-true, bf16"
    )


@pytest.mark.parametrize(
    ("value", "choices", "meant"),
    [
        ("ReLU", ("sigmoid", "relu"), "relu"),
        ("rellu", ("sigmoid", "relu"), "relu"),
        ("swish", ("relu", "silu"), "silu"),
        ("mean", ("drop", "impute"), "impute"),
        ("larger", ("min", "max"), "max"),
    ],
)
def test_other_names_of_other_choices(value: str, choices: tuple[str, ...], meant: str) -> None:
    assert wrong_value(value, Literal[choices]).endswith(f"; did you mean {meant}?")


class Base:
    def __init__(self, needed: int, width: int = 3, names: list[str] | None = None, anything=3) -> None: ...


class Derived(Base):
    def __init__(self, depth: int = 2, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(
    ("name", "expected", "takes_null"),
    [
        ("depth", int, False),
        ("width", int, False),  # of the base
        ("needed", Any, True),  # the data module may give it
        ("names", Any, True),
        ("anything", Any, True),  # not annotated
        ("nothing", Any, True),
    ],
)
def test_which_arguments_take_null(name: str, expected: Any, takes_null: bool) -> None:
    assert argument_type(Derived, name) == expected
    assert allows_null(expected) == takes_null


@pytest.mark.parametrize("kind", [int | None, Any, object, Sequence[int] | None, str | (int | None)])
def test_types_that_take_null(kind: Any) -> None:
    assert allows_null(kind)
    assert not allows_null(list[int | None])
