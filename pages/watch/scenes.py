"""What is shown of the data, chosen by what the data are."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.data_spec import spec_of
from callbacks.pictures.network import is_autoencoder
from pages.watch.scene import Scene
from pages.watch.scene_curve import CurveScene
from pages.watch.scene_images import ImageScene
from pages.watch.scene_plane import PlaneScene
from pages.watch.scene_series import SeriesScene
from pages.watch.scene_table import TableScene

ON_A_PLANE = ("binary", "multiclass", "regression", "classes")


def scene_for(pl_module: pl.LightningModule, data: Any, batch: Any) -> Scene:
    """The scene for a model and its data.

    Args:
        pl_module: any LightningModule.
        data: its data module; None for plain loaders.
        batch: a batch of validation or training, on the model's device.
    """
    batch = batch[:2] if isinstance(batch, list | tuple) else batch  # without the weights of rows
    if not is_pair(batch):
        return Scene("a batch is no pair of tensors, inputs that are real numbers and targets")
    x, y = batch
    shape, task = tuple(x.shape[1:]), task_of(pl_module, data, y)
    one_target = y.numel() == len(y)
    if len(shape) == 3:
        return ImageScene(pl_module, data, batch, task)
    if hasattr(pl_module, "forecast") and len(shape) == 2:
        return SeriesScene(data, batch)
    if len(shape) != 1:
        return Scene(f"a sample has the shape {list(shape)}, for which there is no picture")
    if shape[0] == 1 and task == "regression" and one_target:
        return CurveScene(data, batch)
    if shape[0] == 2 and task in ON_A_PLANE and one_target:
        return PlaneScene(data, batch, task)
    return TableScene(data, batch, task)


def is_pair(batch: Any) -> bool:
    """Whether it is (inputs, targets), with inputs that are real numbers."""
    return (
        isinstance(batch, list | tuple)
        and len(batch) == 2
        and all(isinstance(each, Tensor) and each.ndim > 0 for each in batch)
        and batch[0].is_floating_point()
        and len(batch[0]) == len(batch[1]) > 0
    )


def task_of(pl_module: pl.LightningModule, data: Any, y: Tensor) -> str:
    """The task that the data module names; else what the targets look like."""
    if is_autoencoder(pl_module):
        return "reconstruction"
    if task := spec_of(data).task:
        return str(task)
    if (
        not y.is_floating_point()
        and y.dtype != torch.bool
        and y.ndim == 1
        and int(y.min()) >= 0
        and int(y.max()) < 100
    ):
        return "classes"  # whether the network returns logits is not known
    return "regression" if y.is_floating_point() else ""
