"""Small convolutional network with batch normalization and global pooling."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from lit_models.base import LitModel


class LitTextures(LitModel):
    """Each block halves the image; the mean of each channel then no longer depends on where a texture begins.

    Args:
        channels: of each block; the image's size must be a multiple of 2 ** blocks.
    """

    def __init__(self, *, channels: Sequence[int] = (16, 32, 64), **base: Any) -> None:
        super().__init__(**base)
        in_channels, _, _ = self.require_shape("images", "C H W")
        self.blocks = nn.Sequential(*(block(*sizes) for sizes in pairwise([in_channels, *channels])))
        self.head = nn.Linear(channels[-1], self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (N, C, H, W) into logits (N, K)."""
        return self.head(self.blocks(x).mean(dim=(2, 3)))


def block(in_channels: int, out_channels: int) -> nn.Sequential:
    """A 3 x 3 convolution, then pooling: (N, C_in, H, W) to (N, C_out, H / 2, W / 2)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
