"""Gallery: many kinds of pictures as one callback.

Lightning calls every callback at every step, but a picture has nothing to do there. Two dozen of them would cost a small
network more than its diagnostics do.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from callbacks.pictures.base import Picture
from callbacks.step_hooks import implements_step_hook


class Gallery(pl.Callback):
    """Passes the start, the epochs and the end of a training on to its pictures.

    Args:
        pictures: they must not have hooks for single steps.

    Raises:
        ValueError: a picture has such hooks.
    """

    def __init__(self, pictures: list[Picture]) -> None:
        for picture in pictures:
            if implements_step_hook(picture):
                raise ValueError(
                    f"{type(picture).__name__} has hooks of single steps; make it a callback of its own"
                )
        self.pictures = pictures

    def state_dict(self) -> dict[str, Any]:
        """The states of those pictures that have one, by class."""
        states = {type(picture).__name__: picture.state_dict() for picture in self.pictures}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for picture in self.pictures:
            if state := state_dict.get(type(picture).__name__):
                picture.load_state_dict(state)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for picture in self.pictures:
            picture.setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for picture in self.pictures:
            picture.on_train_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for picture in self.pictures:
            picture.on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for picture in self.pictures:
            picture.on_train_end(trainer, pl_module)
