"""`compare.json`: what the command `compare` said about a run and others, in the folders of both."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from callbacks.files import write_whole

FILE = "compare.json"


def name_of(folder: Path) -> str:
    """The experiment and the version of a run."""
    folder = folder.resolve()
    return f"{folder.parent.name}/{folder.name}"


def read_compared(folder: Path) -> list[dict[str, Any]]:
    """The comparisons of a run, each with the names `A` and `B`, `rows` of its table and its `sentence`.

    None if the file is missing or damaged.
    """
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def write_compared(first: Path, second: Path, rows: Mapping[str, str], sentence: str) -> None:
    """Keep a comparison in the folders of both runs, in the place of an earlier one of the same two.

    Raises:
        OSError: a file cannot be written.
    """
    names = {name_of(first), name_of(second)}
    entry = {"A": name_of(first), "B": name_of(second), "rows": dict(rows), "sentence": sentence}
    for folder in dict.fromkeys((first, second)):
        others = [each for each in read_compared(folder) if {each.get("A"), each.get("B")} != names]
        text = json.dumps([*others, entry], indent=1, ensure_ascii=False)
        write_whole(folder / FILE, text + "\n")
