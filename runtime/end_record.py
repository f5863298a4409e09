"""`end.json`: how a training ended. It is read without PyTorch, and is the last file that a run writes."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

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


def limit_in(limits: Mapping[str, float | None], name: str) -> float:
    """One limit; Lightning's None and -1 are none."""
    limit = limits.get(name)
    return math.inf if limit is None or limit < 0 else limit


def write_end(folder: Path, end: End) -> None:
    """Write `end.json`. Nothing may be written after it: a run without it has something to make up for."""
    from callbacks.files import write_whole  # this package takes seconds to import

    write_whole(folder / FILE, json.dumps(asdict(end), indent=2) + "\n")


def recorded_end(folder: Path) -> End | None:
    """What `write_end` wrote; None if the run has not ended, or the file is damaged."""
    try:
        return End(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def forget_end(folder: Path) -> None:
    """Training goes on."""
    (folder / FILE).unlink(missing_ok=True)
