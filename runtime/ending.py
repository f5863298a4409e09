"""Why a training ended: in its last checkpoint, and in `end.json`, the last file that a run writes."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EarlyStopping, Timer

from callbacks.files import write_whole
from runtime.private import seconds_of

FILE = "end.json"
PATIENCE = "patience"
IMPATIENT = "did not improve"  # in the words of an EarlyStopping whose patience ended


@dataclass(frozen=True)
class End:
    """How a training ended.

    Args:
        reason: "max_epochs", "max_steps", "max_time", "EarlyStopping", or the class of another callback that says
            so; "should_stop" if a module or callback asked to stop without saying why.
        words: the reason in words.
        epochs, steps: how long it had trained.
        limits: what limited it then; see `limits_of`.
    """

    reason: str
    words: str
    epochs: int
    steps: int
    limits: Mapping[str, float | None]

    def is_overruled(self, limits: Mapping[str, float | None]) -> bool:
        """Whether a limit is larger now, so that training is to go on, and no other limit is reached."""
        done = {"max_epochs": self.epochs, "max_steps": self.steps, "max_time": 0}
        larger = [name for name in limits if limit_in(limits, name) > limit_in(self.limits, name)]
        if IMPATIENT not in self.words:
            larger = [name for name in larger if not name.startswith(PATIENCE)]
        return bool(larger) and all(limit_in(limits, name) > done.get(name, -1) for name in limits)


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


def limit_in(limits: Mapping[str, float | None], name: str) -> float:
    """One limit; Lightning's None and -1 are none."""
    limit = limits.get(name)
    return math.inf if limit is None or limit < 0 else limit


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


def write_end(folder: Path, end: End) -> None:
    """Write `end.json`. Nothing may be written after it: a run without it has something to make up for."""
    write_whole(folder / FILE, json.dumps(asdict(end), indent=2) + "\n")


def recorded_end(folder: Path) -> End | None:
    """What `write_end` wrote; None if the run has not ended, or the file is damaged."""
    try:
        return End(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def forget_end(folder: Path) -> None:
    """Training goes on."""
    (folder / FILE).unlink(missing_ok=True)


def has_ended(end: End | None, settings: Any) -> bool:
    """Whether a run had ended before, and has nothing to do with these settings of its Trainer."""
    return end is not None and not end.is_overruled(limits_of(settings))
