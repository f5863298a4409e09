"""The three packages import a class when it is first asked for, so that a broken file stops only who names it."""

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import callbacks
import datamodules
import lit_models
from cli.completion import classes
from tests.processes import ROOT, Forked, Outcome, train_py

PACKAGES = (callbacks, datamodules, lit_models)
FIT = [
    *("fit", "--config", str(ROOT / "configs/circles.yaml"), "--trainer.max_epochs=1"),
    *("--trainer.enable_progress_bar=false", "--diagnostics=false", "--pictures=false", "--checkup=false"),
]


def imports_for_type_checkers(package: ModuleType) -> dict[str, str]:
    """The names that a package's `if TYPE_CHECKING:` imports, with their modules."""
    tree = ast.parse(Path(str(package.__file__)).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {name.name: str(node.module) for node in block.body for name in node.names}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_what_a_package_gives_is_what_type_checkers_are_told(package: ModuleType) -> None:
    told = imports_for_type_checkers(package)
    assert told == {name: f"{package.__name__}.{file}" for name, file in package.FILES.items()}
    assert package.__all__ == sorted(told)
    for name, module in told.items():
        assert getattr(package, name) is getattr(import_module(module), name)
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'Nothing'"):
        _ = package.Nothing


def test_completion_knows_all_classes() -> None:
    assert set(classes("lit_models")) == set(lit_models.__all__)
    assert set(classes("datamodules")) == set(datamodules.__all__)


# --- a bundled file that is half edited ---


def run(words: list[str], folder: Path) -> Outcome:
    """Run a command in a fresh process, for which files in `folder` come before those of the packages."""
    return Forked(with_own_files, *words, folder=folder).outcome()


def with_own_files(*words: str) -> int:
    for package in (lit_models, datamodules):
        package.__path__.insert(0, package.__name__)
    return train_py(*words)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder in which the network for series and the images of MNIST are half edited."""
    for path in ("lit_models/rnn.py", "datamodules/mnist.py"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text((ROOT / path).read_text() + "\n\ndef half_edited(:\n")
    return tmp_path


def test_it_stops_no_command_that_does_not_name_it(broken: Path) -> None:
    done = run(FIT, broken)
    assert (done.code, "SyntaxError" in done.err) == (0, False), done.err
    done = run(["sweep", *FIT[1:], "--vary", "model.optimizer.lr=0.01,0.02"], broken)
    assert done.code == 0, done.err
    assert "2 complete" in done.out


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["--model=LitRNN"], "lit_models/rnn.py"),
        (["--model=lit_models.LitRNN"], "rnn.py"),
        (["--data=MNISTDataModule"], "datamodules/mnist.py"),
    ],
)
def test_it_is_named_by_a_command_that_needs_it(words: list[str], file: str, broken: Path) -> None:
    done = run([*FIT, *words], broken)
    assert done.code == 2
    message = done.err[done.err.rindex("error: ") :]
    assert file in message
    assert "SyntaxError" in message or "invalid syntax" in message
    assert "Traceback" not in done.err
