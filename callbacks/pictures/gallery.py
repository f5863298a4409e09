"""Gallery: many kinds of pictures as one callback.

Lightning asks every callback at every step, and a picture has nothing to say there: two dozen of them would cost a small
network more than its diagnostics do.
"""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl

from callbacks.pictures.base import Picture
from callbacks.step_hooks import implements_step_hook


class Gallery(pl.Callback):
    """Passes the beginning, the epochs and the end of a training on to the pictures in it.

    Args:
        pictures: none that looks at single steps.
    """

    def __init__(self, pictures: list[Picture]) -> None:
        assert not any(map(implements_step_hook, pictures))
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


def hung(kinds: list[type[Picture]], folder: Path) -> list[pl.Callback]:
    """A picture of every kind, those that look at single steps as callbacks of their own."""
    pictures = [kind(folder) for kind in kinds]
    quiet = [picture for picture in pictures if not implements_step_hook(picture)]
    return [Gallery(quiet), *(picture for picture in pictures if picture not in quiet)]
