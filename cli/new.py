"""`train.py new NAME --like examples/segmentation`: an example under a new name, to change into one's own project."""

import keyword
import shutil
from collections.abc import Sequence
from pathlib import Path

from cli.overview import EXAMPLES
from cli.request import take_option
from runtime.commands import path_from_here, train_py
from runtime.errors import UsageError, did_you_mean

TESTS = EXAMPLES.parent / "tests" / "examples"


def main(words: Sequence[str]) -> int:
    """Copy, and say what to do next; returns the exit code.

    Raises:
        UsageError: for a name that is taken or cannot be a module's, and an example that does not exist.
    """
    like, names = take_option(list(words), "--like")
    if len(names) != 1 or like is None:
        raise UsageError(f"new takes one name and an example: {train_py('new', 'NAME', '--like', 'EXAMPLE')}")
    (name,) = names
    example = Path(like).name
    known = example_names()
    if example not in known:
        raise UsageError(f"--like {like}: there is no such example; {did_you_mean(example, known)}")
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise UsageError(f"{name} cannot be the name of a module; use small letters, digits and _")
    copies = {EXAMPLES / example: EXAMPLES / name, test_of(example): test_of(name)}
    for path in copies.values():
        if path.exists():
            raise UsageError(f"{path_from_here(path)} exists; choose another name, or remove it")
    for source, target in copies.items():
        if source.exists():
            copy(source, target, example, name)
    config = path_from_here(EXAMPLES / name / f"{name}.yaml")
    print(f"{path_from_here(EXAMPLES / name)} is a copy of {example}; change its model, data and config")
    print(f"  check it  {train_py('check', '--config', config)}")
    print(f"  train it  {train_py('fit', '--config', config)}")
    return 0


def example_names() -> list[str]:
    """The folders of `examples` that hold a config of their name."""
    return sorted(path.stem for path in EXAMPLES.glob("*/*.yaml") if path.stem == path.parent.name)


def test_of(example: str) -> Path:
    """Where the test of an example is."""
    return TESTS / f"test_{example}.py"


def copy(source: Path, target: Path, example: str, name: str) -> None:
    """Copy a file or a folder with all its files; in names and texts the new name stands for the example's."""
    if source.is_dir():
        target.mkdir()
        for path in source.iterdir():
            if path.name != "__pycache__":
                copy(path, target / path.name.replace(f"{example}.", f"{name}."), example, name)
    elif source.suffix in (".py", ".yaml"):
        target.write_text(renamed(source.read_text(encoding="utf-8"), example, name), encoding="utf-8")
    else:
        shutil.copyfile(source, target)


def renamed(text: str, example: str, name: str) -> str:
    """The text of a file with the new name in module paths, paths of files and names of configs."""
    for before, after in (("examples.", ""), ("examples/", ""), ("/", "/"), ("/", ".yaml"), ('"', '"')):
        text = text.replace(f"{before}{example}{after}", f"{before}{name}{after}")
    return text
