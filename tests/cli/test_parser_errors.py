"""The real cause of an error: of a constructor or an import, also inside lists and where several types are allowed."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cli.parser import Parser
from lit_models.schedules import SchedulerCallable, build_scheduler
from runtime.errors import UsageError

CLASSES = """
class Part:
    def __init__(self, width: int = 1, error: str = ""):
        if error:
            raise {"value": ValueError, "key": KeyError, "connection": ConnectionError}[error](f"width {width}")


class Other:
    pass
"""
MODULES = {
    "parts_of_mine": CLASSES,
    "needs_a_package": "import no_such_package",
    "with_a_name_error": "no_such_name",
    "with_a_syntax_error": "def part(:",
}
# A class may stand alone, in a list, or next to other types.
PLACES = ["part", "parts", "either", "number_or_parts", "by_name"]
UNIONS = ["either", "number_or_parts"]


@pytest.fixture
def parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parser:
    """Of settings that are objects of classes in modules of one's own."""
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    from parts_of_mine import Part

    parser = Parser(exit_on_error=False)
    kinds: list[Any] = [Part, list[Part], list[Part] | Part, Part | int | list[Part], dict[str, Part] | Part]
    for place, kind in zip(PLACES, kinds, strict=True):
        parser.add_argument(f"--{place}", type=kind)
    return parser


def given(place: str, arguments: str) -> str:
    """A part with these arguments, as the value of one of the places."""
    part = f"{{class_path: parts_of_mine.Part, init_args: {{{arguments}}}}}"
    return {"part": part, "by_name": f"{{first: {part}}}"}.get(place, f"[{part}]")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", ["value", "key", "connection"])
def test_the_error_of_a_constructor_is_reported_as_it_is(place: str, error: str, parser: Parser) -> None:
    settings = parser.parse_args([f"--{place}={given(place, f'width: 9, error: {error}')}"])
    with pytest.raises((ValueError, KeyError, ConnectionError)) as raised:
        parser.instantiate(settings)
    assert type(raised.value).__name__.lower().removesuffix("error") == error
    assert raised.value.args == ("width 9",)


@pytest.mark.parametrize("place", [*UNIONS, "by_name"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("widht: 3", "there is no option 'widht'; did you mean 'width'?"),
        ("width: a", "width: expected int, not a"),
    ],
)
def test_a_wrong_argument_of_a_class_is_named(
    place: str, arguments: str, message: str, parser: Parser
) -> None:
    with pytest.raises(UsageError) as refused:
        parser.parse_args([f"--{place}={given(place, arguments)}"])
    assert str(refused.value).startswith(place)
    assert str(refused.value).endswith(message)


@pytest.mark.parametrize("place", UNIONS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("needs_a_package.Part", "No module named 'no_such_package'; pip install no_such_package"),
        (
            "with_a_name_error.Part",
            "its module cannot be imported: NameError: name 'no_such_name' is not defined",
        ),
        ("with_a_syntax_error.Part", "its module cannot be imported: SyntaxError: invalid syntax"),
        ("nowhere.Part", "there is no module 'nowhere'; it has to be installed, or lie next to train.py"),
        ("parts_of_mine.Prat", "there is no 'Prat' in parts_of_mine; did you mean 'Part'?"),
        ("parts_of_mine.Other", "parts_of_mine.Other is no Part"),
        ("Nothing", "there is no class 'Nothing'"),
    ],
)
def test_what_is_wrong_with_a_class_path(place: str, path: str, message: str, parser: Parser) -> None:
    with pytest.raises(UsageError) as refused:
        parser.parse_args([f"--{place}=[{path}]"])
    assert str(refused.value).startswith(f"{place}: ")
    assert message in str(refused.value)


def test_a_value_that_is_neither_a_number_nor_a_class(parser: Parser) -> None:
    with pytest.raises(
        UsageError, match="number_or_parts: expected int or a Part, as its name or as class_path"
    ):
        parser.parse_args(["--number_or_parts=0.5"])


def test_several_classes_of_one_name_are_listed(parser: Parser) -> None:
    from parts_of_mine import Part

    twin = type("Part", (Part,), {"__module__": "twins", "__qualname__": "Part"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "twins", SimpleNamespace(Part=twin))
        with pytest.raises(UsageError) as refused:
            parser.parse_args(["--either=[Part]"])
    message = "several classes are called Part: parts_of_mine.Part, twins.Part; give one of these paths"
    assert message in str(refused.value)


@pytest.mark.parametrize("given", ["{}", "{monitor: val/accuracy}"])
def test_a_schedule_that_follows_a_metric_has_one_name(given: str) -> None:
    """PyTorch and Lightning have a class of this name; only Lightning's says which metric."""
    parser = Parser(exit_on_error=False)
    parser.add_argument("--scheduler", type=SchedulerCallable)
    value = f"{{class_path: ReduceLROnPlateau, init_args: {given}}}"
    made = parser.instantiate(parser.parse_args([f"--scheduler={value}"])).scheduler
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    schedule: Any = build_scheduler(made, optimizer, lambda: 1)
    assert schedule.monitor == ("val/accuracy" if "accuracy" in given else "val/loss")
