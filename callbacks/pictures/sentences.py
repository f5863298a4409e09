"""How to read a picture, read from the sources of the kinds of pictures: to import them takes seconds of PyTorch."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path


def how_to_read(name: str) -> str:
    """How to read a picture, by its tag (`fit/plane`) or its file's name (`fit_plane_000100.png`).

    Empty for a picture that is not drawn by one of these classes; see `own_pictures` for those.
    """
    for tag, sentence in all_sentences().items():
        if fnmatchcase(name, tag) or fnmatchcase(name, file_pattern(tag)):
            return sentence
    return ""


def file_pattern(tag: str) -> str:
    """The names of a tag's files; see `Picture._write`."""
    return f"{tag.replace('/', '_')}_[0-9]*.*"


@cache
def all_sentences() -> dict[str, str]:
    """The sentences of all kinds by tag."""
    paths = sorted(Path(__file__).parent.glob("*.py"))
    return {tag: sentence for path in paths for tag, sentence in sentences_in(path)}


def sentences_in(path: Path) -> Iterator[tuple[str, str]]:
    """The `how_to_read` of each class in a file."""
    classes = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.ClassDef)]
    for node in (node for each in classes for node in each.body):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "how_to_read" and node.value:
            yield from ast.literal_eval(node.value).items()
