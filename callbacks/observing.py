"""What goes wrong in an observer is reported once, and never stops a training.

    with Observing(self):
        self._measure(trainer)

Only an observer's own lines stand in such a block. What the user's code raises while an observer watches it passes.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

Owner = TypeVar("Owner")
P = ParamSpec("P")


class Observing:
    """A block that may fail: the first failure of an observer is a warning, later ones are silent.

    After each, `observer.skip()`, if there is one, drops what is half done.

    Args:
        observer: whose block it is.
        words: what the failure means, for the warning.
        meant: exceptions that the block raises on purpose; they pass.

    Raises:
        OSError: one with a number, which the system raised. It says nothing about the observer: the disk is full, say.
            A run that stops then makes up for what is missing when it is resumed.
        MemoryError: likewise.
    """

    def __init__(
        self,
        observer: object,
        words: str = "failed; what it observes at such a step is skipped, and the training goes on",
        meant: type[Exception] | tuple[type[Exception], ...] = (),
    ) -> None:
        self.observer, self.words, self.meant = observer, words, meant

    def __enter__(self) -> None:
        """Nothing is needed beforehand."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, self.meant) or is_of_the_system(error):
            return False
        known = vars(self.observer)
        if not known.get("_failure_reported"):
            known["_failure_reported"] = True
            warnings.warn(f"{type(self.observer).__name__} {self.words} ({in_words(error)})", stacklevel=2)
        getattr(self.observer, "skip", lambda: None)()
        return True


def observed(hook: Callable[Concatenate[Owner, P], None]) -> Callable[Concatenate[Owner, P], None]:
    """A hook of an observer, all of it such a block."""

    @functools.wraps(hook)
    def guarded(self: Owner, *args: P.args, **kwargs: P.kwargs) -> None:
        with Observing(self):
            hook(self, *args, **kwargs)

    return guarded


def is_of_the_system(error: Exception) -> bool:
    """Whether the machine is the reason, not the program."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)


def in_words(error: Exception) -> str:
    """The kind of an error, and the first line of what it says."""
    reason = str(error).strip().partition("\n")[0] or "no reason given"
    return f"{type(error).__name__}: {reason}"
