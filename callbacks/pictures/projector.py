"""TensorBoard's embedding projector: the codes of an autoencoder as points that can be rotated, with their images."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from callbacks.pictures.base import Picture, datamodule, fixed_batch
from callbacks.pictures.codes import with_labels
from callbacks.pictures.images import has_images, ink
from callbacks.pictures.network import array, class_name, codes_of, is_autoencoder
from callbacks.steps import steps_done
from callbacks.tensorboard import on_tensorboard


class Projector(Picture):
    """Writes codes, classes and images of the validation batch for the page "Projector", once, at the end."""

    only_at_end = True

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return has_images(data) and is_autoencoder(pl_module)

    def _draw_all(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        x, y = with_labels(fixed_batch(trainer))
        codes = codes_of(pl_module, x)
        names = [class_name(datamodule(trainer), label) for label in array(y).astype(int)]
        tiles = torch.from_numpy(ink(x))
        images = (
            tiles.movedim(-1, 1) if tiles.ndim == 4 else 1 - tiles[:, None]
        )  # of gray ones, dark on white
        on_tensorboard(
            trainer,
            lambda writer: writer.add_embedding(
                codes, metadata=names, label_img=images, global_step=steps_done(trainer), tag="code"
            ),
        )
