"""Images: one of them, or one that was drawn with the mouse, on its way through the layers; and a kernel on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from callbacks.pictures.images import first_of_each_class
from callbacks.pictures.network import array, class_names, probabilities
from pages.watch.columns import MAX_UNITS, Column
from pages.watch.drawing import as_written
from pages.watch.frames import bars_of, class_means, maps_of, unit
from pages.watch.packing import largest, pack, plain
from pages.watch.scene import Scene, Units

MAX_IMAGES = 64  # for the mean of a unit in each class
FIXED = 20  # that the page goes through


class ImageScene(Scene):
    """The way of one image through a network.

    Args:
        pl_module: the network.
        data: the data module, or None. `prepare_inputs` and `transform_batch` turn bytes (N, C, H, W) into inputs.
        batch: images (N, C, H, W) and targets (N, ...), of validation.
        task: "binary", "multiclass", "reconstruction", or something else, for which the output is shown as it is.
    """

    kind = "images"
    num_inputs = 1

    def __init__(
        self, pl_module: pl.LightningModule, data: Any, batch: tuple[Tensor, Tensor], task: str
    ) -> None:
        x, y = (each[:MAX_IMAGES] for each in batch)
        self.data, self.task, self.others = data, task, x
        has_labels = (y.ndim == 1 and not y.is_floating_point()) or task == "binary"
        self.labels = array(y).astype(int) if has_labels else np.zeros(len(x), dtype=int)
        self.names = class_names(data, max(2, int(self.labels.max()) + 1)) if has_labels else []
        places = first_of_each_class(y, FIXED) if has_labels else list(range(min(FIXED, len(x))))
        self.fixed, self.truth = x[places], self.labels[places]
        self.place = 0
        self.drawn: Tensor | None = None  # (1, C, H, W), as the network gets it
        self.pixels: list[float] = []  # of the drawing, as the page sent it
        self.kernel = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]

    def hello(self) -> dict[str, Any]:
        """Size of the images, and the names of the classes."""
        channels, height, width = self.fixed.shape[1:]
        return {
            "channels": channels,
            "height": height,
            "width": width,
            "classes": self.names,
            "count": len(self.fixed),
            "autoencoder": self.task == "reconstruction",
            "can_draw": self._can_draw,
        }

    @property
    def _can_draw(self) -> bool:
        height, width = self.fixed.shape[2:]
        return height * width <= 64 * 64

    @property
    def image(self) -> Tensor:
        """The image that is shown, (1, C, H, W)."""
        return self.fixed[self.place : self.place + 1] if self.drawn is None else self.drawn

    def probe(self) -> Tensor:
        """The image, then the others, which give each unit's mean in each class."""
        return torch.cat([self.image, self.others])

    def inputs(self) -> Units:
        """The image."""
        return [unit(0, ["image"], map=gray(self.image), ink=True)]

    def units(self, column: Column, *, is_output: bool) -> tuple[Units, int]:
        """A feature map, an image of weights, or the mean in each class, for each unit."""
        output = column.output
        if output.ndim == 4 and output[0].numel() > output.shape[1]:
            if is_output and output.shape[1:] == self.image.shape[1:]:
                return [unit(0, ["restored"], map=gray(output[:1]), ink=True)], 1
            return maps_of(array(output[0, :MAX_UNITS])), column.units
        if is_output and output[0].numel() == self.image.numel():
            return [unit(0, ["restored"], map=gray(output[:1].reshape(self.image.shape)), ink=True)], 1
        weight: Any = column.module.weight
        if weight.ndim == 2 and weight.shape[1] == self.image.numel():
            images = array(weight[:MAX_UNITS]).reshape(-1, *self.image.shape[1:]).mean(1)
            scale = largest(images, 0.998)
            names = self.names if is_output and column.units == len(self.names) else None
            return [
                unit(k, names, map=pack(each, scale), weights=True) for k, each in enumerate(images)
            ], column.units
        names = self.names if is_output and column.units == len(self.names) else None
        rest = Column(column.tag, column.module, column.inputs, output[1:])
        means = class_means(rest, self.labels, max(1, len(self.names)))
        return bars_of(means, names), column.units

    def output(self, pl_module: pl.LightningModule) -> dict[str, Any]:
        """The image, what the network makes of it, and the kernel's picture of it."""
        image = self.image
        found: dict[str, Any] = {
            "image": gray(image),
            "place": self.place,
            "truth": "your drawing" if self.drawn is not None else self._name(int(self.truth[self.place])),
            "drawn": self.drawn is not None,
            "kernel": plain(self.kernel),
            "filtered": self._filtered(image),
        }
        result = pl_module(image)
        if self.task == "reconstruction":
            restored = result.reshape(image.shape)
            error = float((restored - image).square().mean())
            return found | {"restored": gray(restored, like=image), "error": plain(error)}
        if self.names and self.task in ("binary", "multiclass"):
            return found | {"probabilities": plain(probabilities(pl_module, self.task, image)[0])}
        if isinstance(result, Tensor) and result.numel() <= 100:
            return found | {"values": plain(array(result).ravel())}
        return found

    def _name(self, label: int) -> str:
        return self.names[label] if label < len(self.names) else ""

    def _filtered(self, image: Tensor) -> dict[str, Any]:
        """The image after the kernel; outside it there is only its darkest value, as paper around a digit."""
        plane = image.float().mean(1, keepdim=True)
        low, high = float(plane.min()), float(plane.max())
        plane = (plane - low) / max(high - low, 1e-12)
        kernel = torch.tensor(self.kernel, dtype=plane.dtype, device=plane.device).reshape(1, 1, 3, 3)
        filtered = array(F.conv2d(plane, kernel, padding=1)[0, 0])
        return pack(filtered, largest(filtered)) | {
            "low": plain(filtered.min()),
            "high": plain(filtered.max()),
        }

    def change(self, change: dict[str, Any]) -> None:
        """Take another image, a drawing, or a kernel."""
        if change["do"] == "image":
            self.drawn = None
            self.place = (self.place + change["value"]) % len(self.fixed)
        elif change["do"] == "kernel":
            self.kernel = [float(each) for each in change["value"]]
        elif change["do"] == "draw":
            self._draw(change["value"])

    def _draw(self, pixels: list[float]) -> None:
        channels, height, width = self.fixed.shape[1:]
        if len(pixels) != height * width:
            return
        page = torch.tensor(pixels, dtype=torch.float32).clamp(0, 1).reshape(height, width)
        ink = as_written(page).expand(1, channels, height, width)
        self.drawn = self._prepared(ink).to(self.fixed)

    def _prepared(self, ink: Tensor) -> Tensor:
        """Ink (1, C, H, W), from 0 to 1, as inputs of the network."""
        prepare, transform = (
            getattr(self.data, name, None) for name in ("prepare_inputs", "transform_batch")
        )
        if prepare is not None and transform is not None:
            return transform(prepare((ink * 255).round().to(torch.uint8)))
        low, high = self.others.min(), self.others.max()
        return low + ink.to(self.others) * (high - low)


def gray(image: Tensor, like: Tensor | None = None) -> dict[str, Any]:
    """An image (1, C, H, W) as one channel, from the darkest to the brightest value (of `like`, if it is given)."""
    flat = array(image[0]).mean(0)
    limits = flat if like is None else array(like[0]).mean(0)
    low, high = float(limits.min()), float(limits.max())
    return pack(flat, max((high - low) / 2, 1e-12), (low + high) / 2)
