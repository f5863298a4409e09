"""Discs, squares and triangles on noisy images, with a class for each pixel; generated."""

from typing import Any

import torch
from torch import Tensor

from datamodules.base import Split, TensorDataModule, split_rows

CLASSES = ("background", "disc", "square", "triangle")
UNLABELED = -100  # the class of pixels that count neither in the loss nor in a metric


class ShapesDataModule(TensorDataModule):
    """Images (N, 1, size, size) with one shape of each kind, and masks (N, size, size) with the class of each pixel.

    All shapes are equally bright, so a pixel's class is known only from its surroundings. The pixels along the edge of a
    shape are unlabeled, as they often are where people draw the masks.

    Args:
        num_images: in all splits together; a sixth each is for validation and test.
        size: of the images, in pixels; a multiple of 8.
        noise: deviation of the noise of each pixel; shapes are brighter than the background by 1.
        data_seed: of the images.
        kwargs: see `TensorDataModule`.
    """

    def __init__(
        self, *, num_images: int = 1200, size: int = 32, noise: float = 0.5, data_seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(normalize=False, **kwargs)
        self.num_images, self.size, self.noise, self.data_seed = num_images, size, noise, data_seed
        self.task = "multiclass"
        self.in_shape, self.out_features = (1, size, size), len(CLASSES)
        self.class_names, self.sample_name = CLASSES, "image"

    def load(self) -> dict[str, Split]:
        generator = torch.Generator().manual_seed(self.data_seed)
        masks = draw_masks(self.num_images, self.size, generator)
        noise = self.noise * torch.randn(masks.shape, generator=generator)
        images = ((masks != 0).float() + noise)[:, None]
        masks = without_edges(masks)
        held_out = self.num_images // 6
        rows = split_rows(self.num_images, num_val=held_out, num_test=held_out, seed=0)
        splits = {name: (images[chosen], masks[chosen]) for name, chosen in rows.items()}
        return {**splits, "predict": (images[rows["test"]], rows["test"])}


def draw_masks(num_images: int, size: int, generator: torch.Generator) -> Tensor:
    """The class of each pixel (N, size, size); where shapes overlap, the later kind is in front."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    masks = torch.zeros(num_images, size, size, dtype=torch.long)
    for kind in range(1, len(CLASSES)):
        radius = size * (0.12 + 0.08 * torch.rand(num_images, 1, 1, generator=generator))
        center = size * (0.2 + 0.6 * torch.rand(2, num_images, 1, 1, generator=generator))
        right, down = x - center[0], y - center[1]
        inside = {
            "disc": right**2 + down**2 < radius**2,
            "square": torch.maximum(right.abs(), down.abs()) < 0.9 * radius,
            "triangle": (down.abs() < radius) & (2 * right.abs() < radius + down),
        }[CLASSES[kind]]
        masks[inside] = kind
    return masks


def without_edges(masks: Tensor) -> Tensor:
    """Masks (N, H, W) in which pixels with a right or lower neighbor of another class are unlabeled."""
    edge = torch.zeros_like(masks, dtype=torch.bool)
    edge[:, :-1] |= masks[:, :-1] != masks[:, 1:]
    edge[:, :, :-1] |= masks[:, :, :-1] != masks[:, :, 1:]
    return masks.masked_fill(edge, UNLABELED)
