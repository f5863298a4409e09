"""What the open pages ask of the training: the only object that both threads use."""

from __future__ import annotations

import math
import threading
from typing import Any

SPEEDS = (1, 10, 100, 0)  # steps per frame; 0: as many as there is time for
FACTORS = (0.01, 100.0)  # ends of the learning rate's slider
MAX_PIXELS = 64 * 64  # of a drawing
KERNEL = 9  # numbers, 3 by 3


class Controls:
    """The state of buttons and sliders. The server's thread calls `receive`, `opened` and `closed`.

    Args:
        can_train: False if another process trains, or the training has ended: then nothing can be played.

    `waiting` is set whenever something changed.
    """

    def __init__(self, can_train: bool = True) -> None:
        self.can_train = can_train
        self.playing, self.speed, self.factor = False, 1, 1.0
        self.pages = 0
        self.seed: int | None = None  # that a page wants to start anew with
        self._steps_owed = 0
        self._changes: list[dict[str, Any]] = []
        self._condition = threading.Condition()

    # --- the server's thread ---

    def opened(self) -> None:
        """A page was opened; it needs a frame."""
        with self._condition:
            self.pages += 1
            self._changes.append({"do": "show"})
            self._condition.notify_all()

    def closed(self) -> None:
        """A page was closed. Without pages nothing is trained."""
        with self._condition:
            self.pages -= 1
            self._condition.notify_all()

    def receive(self, message: Any) -> bool:
        """Take in a message of a page; False if it is not one that a page sends."""
        if not isinstance(message, dict):
            return False
        with self._condition:
            known = self._take(message)
            if known:
                self._condition.notify_all()
        return known

    def _take(self, message: dict[str, Any]) -> bool:
        do: Any = message.get("do")
        value: Any = message.get("value")
        if do == "play" and isinstance(value, bool):
            self.playing = value and self.can_train
        elif do == "step":
            self.playing = False
            self._steps_owed += self.can_train
        elif do == "speed" and type(value) is int and value in SPEEDS:
            self.speed = value
        elif do == "rate" and is_number(value) and FACTORS[0] <= value <= FACTORS[1]:
            self.factor = float(value)
        elif do == "restart" and type(value) is int and 0 <= value < 2**32 and self.can_train:
            self.seed = value
        elif do == "draw" and is_list_of_numbers(value) and len(value) <= MAX_PIXELS:
            self._changes.append({"do": "draw", "value": value})
        elif do == "kernel" and is_list_of_numbers(value) and len(value) == KERNEL:
            self._changes.append({"do": "kernel", "value": value})
        elif do == "image" and type(value) is int and value in (-1, 1):
            self._changes.append({"do": "image", "value": value})
        else:
            return False
        if do in ("play", "speed", "rate"):  # so that all pages show it
            self._changes.append({"do": "show"})
        return True

    # --- the training's thread ---

    def take_changes(self) -> list[dict[str, Any]]:
        """What was asked for since the last call."""
        with self._condition:
            changes, self._changes = self._changes, []
            return changes

    def may_step(self) -> bool:
        """Whether to train one step now."""
        with self._condition:
            if not self.pages:
                return False
            if self._steps_owed:
                self._steps_owed -= 1
                return True
            return self.playing

    def wait(self, seconds: float) -> None:
        """Until something changed, at most so long."""
        with self._condition:
            if not self._changes and not self._steps_owed and self.seed is None:
                self._condition.wait(seconds)

    def begin_anew(self) -> None:
        """Forget what was asked of the training that a new one replaces."""
        with self._condition:
            self.seed, self.playing, self._steps_owed = None, False, 0
            self._changes = [{"do": "show"}]

    def state(self) -> dict[str, Any]:
        """What the pages show of it."""
        with self._condition:
            return {"playing": self.playing, "speed": self.speed, "factor": self.factor}


def is_number(value: Any) -> bool:
    """A finite number; JSON's true is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_list_of_numbers(value: Any) -> bool:
    """A list of finite numbers of ordinary size."""
    return isinstance(value, list) and all(is_number(each) and abs(each) <= 1e6 for each in value)
