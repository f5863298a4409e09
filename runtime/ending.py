"""Why a training ended. `runtime/end_record.py` keeps it in a file."""

from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EarlyStopping, Timer

from runtime.end_record import PATIENCE, End, limit_in
from runtime.private import seconds_of


def limits_of(settings: Any) -> dict[str, float | None]:
    """The limits of a training, of its Trainer or its settings.

    They are max_epochs, max_steps, max_time in seconds, and the patience of each EarlyStopping.
    """
    if isinstance(settings, Trainer):
        timers = [each for each in settings.callbacks if isinstance(each, Timer)]
        seconds = seconds_of(timers[0]) if timers else None
        patience = [each.patience for each in settings.callbacks if type(each) is EarlyStopping]
    else:
        seconds = seconds_of(Timer(settings.max_time))
        patience = patience_in(settings.get("callbacks"))
    limits = {"max_epochs": settings.max_epochs, "max_steps": settings.max_steps}
    limits |= {} if seconds is None else {"max_time": seconds}
    return limits | {f"{PATIENCE} {n}" if n else PATIENCE: steps for n, steps in enumerate(patience)}


def patience_in(callbacks: Any) -> list[int]:
    """The patience of each EarlyStopping in the settings of a Trainer's callbacks."""
    given = callbacks if isinstance(callbacks, list) else [callbacks] if callbacks else []
    found = [each for each in given if str(each.class_path).rpartition(".")[2] == EarlyStopping.__name__]
    return [each.init_args.patience for each in found]


def end_of(trainer: Trainer) -> End:
    """How the training that a Trainer has just completed ended, asked in Lightning's order."""
    limits, epochs, steps = limits_of(trainer), trainer.current_epoch, trainer.global_step
    if steps >= limit_in(limits, "max_steps"):
        reason, words = "max_steps", f"max_steps {trainer.max_steps} was reached"
    elif epochs >= limit_in(limits, "max_epochs"):
        reason, words = "max_epochs", f"max_epochs {trainer.max_epochs} was reached"
    else:
        reason, words = who_stopped(trainer)
    return End(reason, words, epochs, steps, limits)


def who_stopped(trainer: Trainer) -> tuple[str, str]:
    """Which callback asked to stop, and why. One of this project's own has a method `why_stopped`."""
    for callback in trainer.callbacks:
        if isinstance(callback, EarlyStopping) and (message := callback.stopping_reason_message):
            words = message.removesuffix(" Signaling Trainer to stop.").rstrip(".")
            return "EarlyStopping", f"EarlyStopping: {words}"
        if isinstance(callback, Timer) and (callback.time_remaining() or 0.0) < 0:
            return "max_time", "its time was up"
        if words := getattr(callback, "why_stopped", lambda: None)():
            return type(callback).__name__, words
    return "should_stop", "the module or a callback asked to stop"


def has_ended(end: End | None, settings: Any) -> bool:
    """Whether a run had ended before, and has nothing to do with these settings of its Trainer."""
    return end is not None and not end.is_overruled(limits_of(settings))
