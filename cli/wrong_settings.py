"""What a library's error does not say: which setting of the config it refused, or which checkpoint."""

import inspect
import traceback
from types import FrameType
from typing import Any

from runtime.errors import UsageError

LIBRARIES = ("torch.optim.", "pytorch_lightning.callbacks.", "pytorch_lightning.loggers.")
KINDS = {  # by name: no import
    "Optimizer": "optimizer",
    "LRScheduler": "scheduler",
    "Callback": "callback",
    "Logger": "logger",
}

TUNER = "pytorch_lightning.tuner."
INSTEAD = {  # of the callbacks that train to find a setting
    "LearningRateFinder": "`python train.py tune-lr` with the same flags suggests a rate for any model",
    "BatchSizeFinder": "`python train.py sweep --vary data.batch_size=32,64,128` with the same flags tries some sizes",
}

CONNECTOR = "pytorch_lightning.trainer.connectors.checkpoint_connector"
RESTORING = {  # module and function
    (CONNECTOR, "_restore_modules_and_callbacks"),
    (CONNECTOR, "restore_training_state"),
    (CONNECTOR, "restore_datamodule"),
    (CONNECTOR, "restore_model"),
    ("runtime.resume", "_restore"),
}


def wrong_settings(error: Exception) -> UsageError | None:
    """The same error with the object's class and settings, or None if these did not cause it.

    They did if the error comes from PyTorch's or Lightning's code for that object: for a scheduler or a callback at
    any time, for an optimizer or a logger only while it is made. Later they fail for other reasons, such as memory or a
    full disk.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if finder := next((name for name in map(owner_name, frames) if name in INSTEAD), None):
        is_its_own = frames[-1].f_globals.get("__name__", "").startswith((TUNER, *LIBRARIES))
        message = f"the callback {finder} does not work here: {error}\n{INSTEAD[finder]}"
        return UsageError(message) if is_its_own else None
    if (
        frames[-1].f_code.co_name == "__getattr__" and len(frames) > 1
    ):  # of a module that lacks what was asked for
        frames.pop()
    frame = frames[-1]
    owner = frame.f_locals.get("self")
    kind = next((KINDS[cls.__name__] for cls in type(owner).__mro__ if cls.__name__ in KINDS), None)
    is_library = frame.f_globals.get("__name__", "").startswith(LIBRARIES)
    may_fail_later = kind in ("optimizer", "logger") and frame.f_code.co_name != "__init__"
    if kind is None or not is_library or may_fail_later:
        return None
    remedy = "; one of these must not be 0" if isinstance(error, ZeroDivisionError) else ""
    return UsageError(f"the {kind} {call(owner, frame)} does not work: {error}{remedy}")


def owner_name(frame: FrameType) -> str:
    """Class of the object whose method a frame runs."""
    return type(frame.f_locals.get("self")).__name__


def malformed_checkpoint(error: Exception) -> UsageError | None:
    """The same error with the checkpoint's path, or None if it did not come up while one was restored.

    A file from elsewhere may hold anything below the names that Lightning reads.
    """
    if not isinstance(error, TypeError | LookupError | AttributeError | AssertionError):
        return None  # others have words of their own
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in RESTORING:
            trainer = frame.f_locals.get("trainer") or frame.f_locals["self"].trainer
            return UsageError(
                f"{trainer.ckpt_path} does not hold what this model, its callbacks and its data restore: "
                f"{type(error).__name__}: {error}"
            )
    return None


def call(owner: Any, frame: FrameType) -> str:
    """An object as it was made, with those settings that are plain and not defaults: StepLR(step_size=0)."""
    known = {**getattr(owner, "defaults", {}), **vars(owner)}
    if frame.f_code.co_name == "__init__":  # the object has not kept its settings yet
        known |= frame.f_locals
    known.pop("last_epoch", None)  # by now a scheduler's step count
    given = [
        f"{name}={known[name]!r}"
        for name, parameter in inspect.signature(type(owner)).parameters.items()
        if is_plain(known.get(name)) and known[name] != parameter.default
    ]
    return f"{type(owner).__name__}({', '.join(given)})"


def is_plain(value: Any) -> bool:
    """Whether a value can be read in a message: numbers, words and short lists of them, but no weights."""
    if isinstance(value, list | tuple):
        return len(value) < 10 and all(map(is_plain, value))
    return isinstance(value, bool | int | float | str)
