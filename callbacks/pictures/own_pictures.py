"""how_to_read.json: how to read pictures of one's own, for the page of a run, which imports none of their classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from callbacks.files import write_whole
from callbacks.pictures.sentences import how_to_read

FILE = "how_to_read.json"


def keep_how_to_read(folder: Path, tag: str, sentences: Mapping[str, str]) -> None:
    """Add how to read a picture to the file in its folder, unless one of our own classes has a sentence for its tag.

    Args:
        folder: of the pictures.
        tag: of the picture.
        sentences: of its class, by tag; a tag may hold a *.

    Raises:
        OSError: the file cannot be written.
    """
    sentence = next((words for pattern, words in sentences.items() if fnmatchcase(tag, pattern)), "")
    known = own_sentences(folder)
    if sentence and not how_to_read(tag) and known.get(tag) != sentence:
        write_whole(folder / FILE, json.dumps({**known, tag: sentence}, indent=2, ensure_ascii=False) + "\n")


def own_sentences(folder: Path) -> dict[str, str]:
    """What the file says, by tag; empty if there is none, or if it is damaged."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(tag): str(words) for tag, words in found.items()} if isinstance(found, dict) else {}
