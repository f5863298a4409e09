"""A page without a browser: it reads every message, and answers each frame with the next thing to do."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cli.watch import watched
from pages.watch.controls import Controls
from pages.watch.watcher import Restart

PLAY = {"do": "play", "value": True}
STEP = {"do": "step"}
END = {"do": "restart", "value": 7}


class Page:
    """Open from the start. When there is nothing left to do, it asks for a restart, which ends the training.

    Args:
        todo: one message, or a list of them, for each frame that comes.

    `hellos` and `frames` hold what it was sent.
    """

    def __init__(self, todo: Iterable[Any] = ()) -> None:
        self.controls = Controls()
        self.controls.opened()
        self.todo = iter(todo)
        self.hellos: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []

    def __call__(self, message: dict[str, Any]) -> None:
        """Take in a message, which must be proper JSON."""
        message = json.loads(json.dumps(message, allow_nan=False))
        if message["type"] == "hello":
            self.hellos.append(message)
            return
        self.frames.append(message)
        if message["playing"] and not message["finished"]:
            return
        things = next(self.todo, END)
        for thing in things if isinstance(things, list) else [things]:
            assert self.controls.receive(thing), thing


def watch(page: Page, *words: str) -> Any:
    """Train as the command does, and return the run."""
    with tempfile.TemporaryDirectory() as scratch:
        (folder := Path(scratch) / "run").mkdir()
        run = watched(list(words), "test", folder, page.controls, page)
        with contextlib.suppress(Restart):
            run.fit()
    return run
