"""Which optimizer, scheduler or callback of the config refused its settings, where a library says little of it."""

import inspect
import traceback
from types import FrameType
from typing import Any

from runtime.errors import UsageError

LIBRARIES = ("torch.optim.", "pytorch_lightning.callbacks.")
KINDS = {"Optimizer": "optimizer", "LRScheduler": "scheduler", "Callback": "callback"}  # by name: no import


def wrong_settings(error: Exception) -> UsageError | None:
    """The same complaint with the object's class and settings, or None where they are not to blame.

    They are where the error comes from code of PyTorch's or Lightning's for that object: a scheduler or a callback
    at any time, an optimizer while it is made. Its steps call operations that fail for other reasons, such as memory.
    """
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    owner = frame.f_locals.get("self")
    kind = next((KINDS[cls.__name__] for cls in type(owner).__mro__ if cls.__name__ in KINDS), None)
    is_library = frame.f_globals.get("__name__", "").startswith(LIBRARIES)
    if kind is None or not is_library or (kind == "optimizer" and frame.f_code.co_name != "__init__"):
        return None
    remedy = "; one of these must not be 0" if isinstance(error, ZeroDivisionError) else ""
    return UsageError(f"the {kind} {call(owner, frame)} does not work: {error}{remedy}")


def call(owner: Any, frame: FrameType) -> str:
    """An object as it was made, with those settings that are plain and not the defaults: StepLR(step_size=0)."""
    known = {**getattr(owner, "defaults", {}), **vars(owner)}
    if frame.f_code.co_name == "__init__":  # it has not kept them yet
        known |= frame.f_locals
    known.pop("last_epoch", None)  # a scheduler's count by now
    given = [
        f"{name}={known[name]!r}"
        for name, parameter in inspect.signature(type(owner)).parameters.items()
        if is_plain(known.get(name)) and known[name] != parameter.default
    ]
    return f"{type(owner).__name__}({', '.join(given)})"


def is_plain(value: Any) -> bool:
    """Whether it can be read in a message: numbers, words and short rows of them, but no weights."""
    if isinstance(value, list | tuple):
        return len(value) < 10 and all(map(is_plain, value))
    return isinstance(value, bool | int | float | str)
