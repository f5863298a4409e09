"""One setting of a config.yaml, without reading all of it: a complete config takes four milliseconds.

This holds for configs as `fit` writes them: every setting on its own line, and no two keys on one.
"""

from collections.abc import Sequence
from typing import Any

import yaml

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
WRITTEN_BY_FIT = "# pytorch_lightning=="  # how such a config begins


def setting_in(text: str, name: str) -> Any:
    """The value of a setting, that of a class by its path; None if there is none.

    Args:
        text: of a config that `fit` wrote.
        name: with or without `init_args`: `model.optimizer.lr`.
    """
    lines: list[str] | None = text.splitlines()
    for key in name.replace("init_args.", "").split("."):
        arguments = inside(lines or [], "init_args")
        lines = (
            inside(lines or [], key) if arguments is None or key == "class_path" else inside(arguments, key)
        )
        if lines is None:
            return None
    try:
        value = yaml.load("\n".join(lines or []), Loader)
    except yaml.YAMLError:
        return None
    return value["class_path"] if isinstance(value, dict) and "class_path" in value else value


def inside(lines: Sequence[str], key: str) -> list[str] | None:
    """The lines of a key's value; None if these lines have no such key at their own depth."""
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    margin = first[: len(first) - len(first.lstrip())]
    head = f"{margin}{key}:"
    for place, line in enumerate(lines):
        if line.startswith(head) and line[len(head) : len(head) + 1] in ("", " "):
            found = [line[len(head) :].strip()]
            for below in lines[place + 1 :]:
                if not below.startswith((f"{margin} ", f"{margin}- ")):
                    break
                found.append(below)
            return [part for part in found if part]
    return None
