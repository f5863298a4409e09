"""Pictures of what a network has learned: one kind per file, each a callback that decides where it applies.

kinds       all of them, and which are drawn in every run
sentences   how to read them; the page of a run needs no more, so nothing else is imported before it is asked for
"""

from importlib import import_module
from typing import Any

from callbacks.pictures.sentences import how_to_read as how_to_read


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("callbacks.pictures.kinds"), name)
