"""Errors told to people: what, where, the value seen, and how to put it right; never a traceback."""

import difflib
from collections.abc import Iterable

MAX_LINES = 10


class UsageError(Exception):
    """The command, a flag or a config is wrong."""


class RunError(Exception):
    """Something outside the program went wrong, such as a full disk; the message says it all."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint such as "did you mean 'test'?", or the whole list where nothing is close."""
    known = sorted(known)
    if not known:
        return "there is none"
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if not close:  # names that differ in case, or stand inside each other
        close = [name for name in known if word.lower() in name.lower() or name.lower() in word.lower()][:1]
    if close:
        return f"did you mean {close[0]!r}?"
    return f"it can be: {', '.join(known)}" if len(known) <= 20 else "--help lists what there is"


def exit_code(error: Exception) -> int:
    """2 where the user can put it right, else 1."""
    names = {cls.__name__ for cls in type(error).__mro__}
    wrong_input = {"UsageError", "ValueError", "FileNotFoundError", "NotADirectoryError", "PermissionError"}
    return 2 if names & (wrong_input | {"MisconfigurationException", "UnpicklingError"}) else 1


def explain(error: Exception) -> str:
    """The message for standard error, at most a dozen lines."""
    text = str(error).strip("«» \n") or type(error).__name__
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], "..."]
    if exit_code(error) == 1 and not isinstance(error, RunError):
        lines[0] = f"{type(error).__name__}: {lines[0]}"
        lines.append("--debug shows where this comes from")
    return "error: " + "\n  ".join(lines)
