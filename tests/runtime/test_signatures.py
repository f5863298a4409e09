"""Arguments read from the source are those that Python itself reports, with what the docstrings say."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from runtime import signatures
from runtime.signatures import REQUIRED, described, signature

ROOT = Path(__file__).parents[2]
CLASSES = [
    "lit_models.LitMLP",
    "lit_models.LitRNN",
    "datamodules.MNISTDataModule",
    "pytorch_lightning.Trainer",
    "torch.optim.Adam",
    "torch.optim.SGD",
    "torch.optim.LBFGS",
    "torch.optim.lr_scheduler.OneCycleLR",
    "torch.optim.lr_scheduler.StepLR",
]
OWN = '''
"""A module of a user."""
from dataclasses import dataclass, field
from typing import Literal
from .base import Base as Parent

Kind = Literal["a", "b"]


class Child(Parent):
    """A child.

    Args:
        size: how large,
            in meters.
        kind: which; note: the first is usual.

    Raises:
        ValueError: never.
    """

    def __init__(self, size, kind: Kind = "a", *, scale: float = 2 * 3, **kwargs):
        super().__init__(fixed=1, **kwargs)


class Bare(Child):
    pass


@dataclass
class Options:
    """Options.

    Args:
        names: of all.
    """

    names: list[str] = field(default_factory=list)
    count: int = 3
'''
BASE = '''
class Base:
    def __init__(self, fixed: int = 0, rest: str = "x"):
        """Make one.

        Args:
            rest: of the base.
        """
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package/__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "own_package/parts.py").write_text(OWN)
    (tmp_path / "own_package/base.py").write_text(BASE)
    (tmp_path / "own_package/broken.py").write_text("class X(:")
    (tmp_path / "own_package/circle.py").write_text("from own_package.circle import Round\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    signatures.signature.cache_clear()
    signatures.read_source.cache_clear()
    return "own_package.parts"


@pytest.mark.parametrize("path", CLASSES)
def test_names_and_defaults_are_those_of_the_class(path: str) -> None:
    module, _, name = path.rpartition(".")
    cls = getattr(import_module(module), name)
    expected: dict[str, Any] = {}
    for each in cls.__mro__:
        if "__init__" not in vars(each):
            continue
        parameters = list(inspect.signature(each.__init__).parameters.values())[1:]
        has_kwargs = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        for parameter in parameters:
            if parameter.kind is not parameter.VAR_KEYWORD:
                expected.setdefault(parameter.name, parameter.default)
        if not has_kwargs:
            break
    found = signature(path)
    assert found is not None
    assert [each.name for each in found.arguments if each.name in expected] == [
        each.name for each in found.arguments
    ]
    assert set(expected) - {each.name for each in found.arguments} <= {"normalize", "task", "out_features"}
    for argument in found.arguments:
        default = expected[argument.name]
        if default is inspect.Parameter.empty:
            assert argument.default is REQUIRED
        elif not isinstance(argument.default, str) or isinstance(
            default, str
        ):  # else the text of an expression
            assert argument.default == default


def test_a_class_of_a_user_is_read_and_not_imported(own: str) -> None:
    found = signature(f"{own}.Child")
    assert found is not None
    assert found.summary == "A child."
    assert [each.name for each in found.arguments] == ["size", "kind", "scale", "rest"]
    size, kind, scale, rest = found.arguments
    assert size.default is REQUIRED
    assert size.help == "how large, in meters."
    assert (kind.type, kind.default) == ("Literal['a', 'b']", "a")
    assert kind.help == "which; note: the first is usual."
    assert (scale.type, scale.default) == ("float", "2 * 3")
    assert (rest.default, rest.help) == ("x", "of the base.")
    assert found["nothing"] is None
    assert "own_package" not in sys.modules


def test_a_class_without_a_constructor_has_that_of_its_base(own: str) -> None:
    bare, child = signature("Bare", own), signature("Child", own)
    assert bare is not None
    assert child is not None
    assert bare.arguments == child.arguments


def test_a_dataclass_has_its_fields(own: str) -> None:
    found = signature(f"{own}.Options")
    assert found is not None
    names, count = found.arguments
    assert (names.name, names.default, names.help) == ("names", REQUIRED, "of all.")
    assert (count.name, count.default) == ("count", 3)


@pytest.mark.parametrize(
    "path",
    [
        "own_package.broken.X",
        "own_package.circle.Round",
        "own_package.parts.Kind",
        "own_package.nowhere.X",
        "nowhere.X",
        "X",
        "",
        ".",
        "a..b",
        "torch.optim",
        "sys.Nothing",
        "math.pi",
        "os.path.join",
    ],
)
def test_what_has_no_source_has_no_signature(path: str, own: str) -> None:
    assert signature(path) is None


def test_the_docstrings_of_pytorch_are_understood() -> None:
    found = signature("torch.optim.Adam")
    assert found is not None
    lr, betas = found["lr"], found["betas"]
    assert lr is not None
    assert betas is not None
    assert lr.help.startswith("learning rate")
    assert betas.help.startswith("coefficients used for computing")
    assert "betas" not in lr.help
    assert described("no arguments here") == {}
    assert described("Args:\n    a, b: both.\n\nMore: text.") == {"a": "both.", "b": "both."}


def test_nothing_is_imported() -> None:
    code = (
        "import sys; from runtime.signatures import signature; s = signature('pytorch_lightning.Trainer')\n"
    )
    code += "sys.exit(s is None or 'pytorch_lightning' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0
