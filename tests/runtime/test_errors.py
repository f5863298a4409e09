"""Messages and exit codes."""

import pickle
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from runtime.errors import UsageError, did_you_mean, exit_code, explain, how_to_install


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("LitMPL", ["LitMLP", "LitRNN"], "did you mean 'LitMLP'?"),
        ("titanicdatamodule", ["TitanicDataModule", "ToyDataModule"], "did you mean 'TitanicDataModule'?"),
        ("convnet", ["LitConvNet", "LitRNN"], "did you mean 'LitConvNet'?"),
        ("zzz", ["b", "a"], "it can be: a, b"),
        ("zzz", [f"name{index}" for index in range(30)], "--help lists what there is"),
        ("zzz", [], "there is none"),
    ],
)
def test_nearest(word: str, known: list[str], hint: str) -> None:
    assert did_you_mean(word, known) == hint


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (ValueError("x"), 2),
        (FileNotFoundError("x"), 2),
        (MisconfigurationException("x"), 2),
        (pickle.UnpicklingError("x"), 2),
        (RuntimeError("x"), 1),
        (KeyError("x"), 1),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_wrong_input_is_told_without_the_type() -> None:
    assert explain(ValueError("data.x  is\n\n  3")) == "error: data.x is\n  3"


def test_a_failure_names_its_type_and_how_to_see_more() -> None:
    assert explain(RuntimeError("no memory")) == (
        "error: RuntimeError: no memory\n  --debug shows where this comes from"
    )


def test_an_error_without_words() -> None:
    assert explain(UsageError()) == "error: UsageError"


def test_long_messages_are_cut() -> None:
    lines = explain(ValueError("\n".join(map(str, range(100))))).splitlines()
    assert len(lines) == 10
    assert lines[-1].strip() == "..."


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("no_such.part", "pip install no_such"),
        ("cv2", "pip install opencv-python"),
        ("rich.table", "constraints.txt -e ."),
    ],
)
def test_how_to_install_what_is_missing(module: str, line: str) -> None:
    error = ModuleNotFoundError(f"No module named {module!r}", name=module)
    assert line in explain(error)
    assert exit_code(error) == 1


def test_a_line_that_a_library_gives_is_not_repeated() -> None:
    error = ModuleNotFoundError("Requirement 'this>=1' not met. Try `pip install 'this>=1'`", name="this")
    assert explain(error).count("pip install") == 1


def test_whatever_this_project_needs_is_installed_together() -> None:
    setup = ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    lines = [line for line in setup["options"]["install_requires"].splitlines() if line and line[0] != "#"]
    for name in [line.partition("[")[0].partition(">")[0].strip() for line in lines]:
        modules = [module for module, packages in packages_distributions().items() if name in packages]
        assert modules, name
        hints = [how_to_install(ModuleNotFoundError(name=module)) for module in modules]
        assert "install what this project needs: pip install -c constraints.txt -e ." in hints, name
