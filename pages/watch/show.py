"""What the pages are sent: once the scene, then frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from callbacks.observing import in_words
from callbacks.pictures.base import evaluating
from pages.watch.controls import Controls
from pages.watch.frames import network
from pages.watch.scene import Scene
from pages.watch.scenes import is_pair, scene_for

NO_BATCH = "no batch was seen yet"
NO_NETWORK: dict[str, Any] = {"columns": [], "edges": [], "left_out": 0}


class Show:
    """The scene of a training, and the frames of it.

    Args:
        controls: what the pages ask for.
        publish: sends a message to all pages.
        title: of the page.
    """

    def __init__(self, controls: Controls, publish: Callable[[dict[str, Any]], None], title: str) -> None:
        self.controls, self.publish, self.title = controls, publish, title
        self.scene = Scene(NO_BATCH)
        self._is_new = True  # whether the pages have yet to hear of the scene

    @property
    def has_scene(self) -> bool:
        """Whether a batch was seen."""
        return self.scene.kind != "none" or self.scene.why != NO_BATCH

    def begin(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> None:
        """Choose the scene for a batch, which is on the model's device."""
        try:
            self.scene = scene_for(pl_module, data, batch)
        except Exception as error:  # of data or a module from elsewhere
            self.scene = Scene(in_words(error))
        self._is_new = True

    def add_points(self, batch: Any) -> None:
        """Let the scene draw the points of a batch of training."""
        try:
            self._is_new |= is_pair(batch) and self.scene.add_points(batch)
        except Exception as error:
            self.scene, self._is_new = Scene(in_words(error)), True

    def obey(self, changes: list[dict[str, Any]]) -> None:
        """Change what is shown as a page asks for."""
        for change in changes:
            if change["do"] != "show":
                self.scene.change(change)

    def frame(self, trainer: pl.Trainer, pl_module: pl.LightningModule, known: dict[str, Any]) -> None:
        """Compute and send a frame.

        Args:
            trainer: its precision is used.
            pl_module: the network as it is now; its modes and the states of random generators stay as they are.
            known: figures that the frame holds as well.
        """
        try:
            with evaluating(pl_module, trainer):
                seen = self._see(pl_module)
        except Exception as error:  # a network from elsewhere that returns something else, for example
            self.scene, self._is_new = Scene(in_words(error)), True
            seen = {"network": NO_NETWORK, "output": {}}
        if self._is_new:
            self._is_new = False
            hello = {"type": "hello", "title": self.title, "can_train": self.controls.can_train}
            self.publish({**hello, "kind": self.scene.kind, "scene": self.scene.hello()})
        self.publish({"type": "frame", **self.controls.state(), **known, **seen})

    def _see(self, pl_module: pl.LightningModule) -> dict[str, Any]:
        probe = self.scene.probe()
        if probe is None:
            return {"network": NO_NETWORK, "output": {}}
        return {"network": network(pl_module, probe, self.scene), "output": self.scene.output(pl_module)}
