"""A class of the user's own, by its class path."""

from importlib import import_module
from typing import Any


def class_at(option: str, path: str, base: type, choices: str) -> Any:
    """The class at a class path such as `my_tasks.Ordinal`.

    Args:
        option: that has the path, for the message of an error.
        path: as the user gave it.
        base: of which it must be a subclass.
        choices: what the option may be, likewise.

    Raises:
        ValueError: if there is none, or it is no such subclass.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{option} {path!r} cannot be imported ({error}); it must be {choices}") from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{option} {path!r} is no {base.__name__}; it must be {choices}")
    return found
