"""`notes.json` in a run's folder: what the user wrote about it. It is read and written without PyTorch."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.errors import UsageError

FILE = "notes.json"


@dataclass(frozen=True)
class Notes:
    """What the user wrote about a run.

    Args:
        note: any text.
        tags: words by which runs are found again, in alphabetical order.
    """

    note: str = ""
    tags: tuple[str, ...] = ()


def read_notes(folder: Path) -> Notes:
    """The notes of a run, empty if there are none or the file is damaged."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        tags = found.get("tags") or []
        return Notes(str(found.get("note") or ""), tuple(sorted(map(str, tags))))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return Notes()


def write_notes(folder: Path, notes: Notes) -> None:
    """Replace the notes of a run; a kill leaves the old ones.

    Raises:
        UsageError: if the folder cannot be written.
    """
    temporary = folder / f".{FILE}.{os.getpid()}.tmp"
    text = json.dumps(asdict(notes), ensure_ascii=False, indent=2) + "\n"
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, folder / FILE)
    except OSError as error:
        raise UsageError(f"{folder / FILE} cannot be written: {error.strerror}") from None


def add_tags(folder: Path, tags: Iterable[str]) -> None:
    """Add tags to a run's notes."""
    notes = read_notes(folder)
    if not set(tags) <= set(notes.tags):
        write_notes(folder, Notes(notes.note, tuple(sorted({*notes.tags, *tags}))))
