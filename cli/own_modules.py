"""Import the modules of `lit_models/` and `datamodules/` that have a class which a command names, and no others.

So a file that is half edited, or lacks a package, stops only the commands that need it. A class path needs nothing of
this: the parser imports its module.
"""

import contextlib
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

import datamodules
import lit_models
from runtime.commands import path_from_here
from runtime.errors import how_to_install

NAME = re.compile(r"[A-Za-z_]\w*")
broken: dict[Path, str] = {}  # files that could not be imported, and why


def import_named(words: Sequence[str]) -> None:
    """Import every module whose source has a class that is named by the words, or by a config that they name.

    A module that cannot be imported is left out; see `why_missing` and `warn_of_broken`.
    """
    names = {name for word in words for name in names_in(word, set())}
    for module, path in own_modules():
        if module in sys.modules or path in broken or not defines(path, names):
            continue
        try:
            import_module(module)
        except (Exception, SystemExit) as error:
            remedy = f"; {install}" if (install := how_to_install(error)) else ""
            broken[path] = f"{type(error).__name__}: {error}{remedy}"


def own_modules() -> Iterator[tuple[str, Path]]:
    """Name and file of each module in the two folders; of a package, its `__init__.py`."""
    for package in (lit_models, datamodules):
        for folder in package.__path__:
            for found in pkgutil.iter_modules([folder]):
                path = Path(folder, found.name)
                yield (
                    f"{package.__name__}.{found.name}",
                    path / "__init__.py" if found.ispkg else path.with_suffix(".py"),
                )


def names_in(word: str, seen: set[Path]) -> Iterator[str]:
    """Every plain name among the values of a word, and of the config file that it names."""
    text = word.partition("=")[2] if word.startswith("-") else word
    path = Path(text)
    with contextlib.suppress(yaml.YAMLError, OSError, ValueError):
        if path.suffix in (".yaml", ".yml", ".json") and path.is_file() and path not in seen:
            seen.add(path)
            for each in strings_in(yaml.safe_load(path.read_text(encoding="utf-8-sig"))):
                part = path.parent / each  # a config names its parts from its own folder
                yield from names_in(str(part) if part.is_file() else each, seen)
        yield from (each for each in strings_in(yaml.safe_load(text)) if NAME.fullmatch(each))


def strings_in(value: Any) -> Iterator[str]:
    """The texts in a nested value, without the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings_in(each)


def defines(path: Path, names: Iterable[str]) -> bool:
    """Whether a file, which need not be valid Python, defines or imports one of these names."""
    any_of = "|".join(map(re.escape, names)) or "(?!)"
    text = path.read_text(encoding="utf-8", errors="replace")
    defined = rf"^\s*class\s+({any_of})\b|^({any_of})\s*=|\bimport\b(\s*\([^)]*|.*)\b({any_of})\b"
    return re.search(defined, text, re.MULTILINE) is not None


def why_missing(name: str) -> str | None:
    """What is wrong with the file that has this class; None if there is no such file."""
    return next((reason(path) for path in broken if defines(path, [name])), None)


def warn_of_broken() -> None:
    """Say once which files were left out."""
    for path in [path for path in broken if path not in _warned]:
        _warned.add(path)
        rank_zero_warn(f"left out: {reason(path)}")


def reason(path: Path) -> str:
    return f"{path_from_here(path)} cannot be imported: {broken[path]}"


_warned: set[Path] = set()
