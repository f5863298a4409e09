"""Gallery: many kinds of pictures as one callback.

Lightning asks every callback at every step, and a picture has nothing to say there: two dozen of them would cost a small
network more than its diagnostics do.
"""

from __future__ import annotations

import pytorch_lightning as pl

from callbacks.pictures.base import Picture
from callbacks.step_hooks import implements_step_hook


class Gallery(pl.Callback):
    """Passes the beginning, the epochs and the end of a training on to the pictures in it.

    Args:
        pictures: none that has hooks of single steps.

    Raises:
        ValueError: one of them has.
    """

    def __init__(self, pictures: list[Picture]) -> None:
        for picture in pictures:
            if implements_step_hook(picture):
                raise ValueError(
                    f"{type(picture).__name__} has hooks of single steps; make it a callback of its own"
                )
        self.pictures = pictures

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
