"""U-Net for a class per pixel; Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.base import LitModel


class LitUNet(LitModel):
    """Halves the image at each level, then doubles it again and adds what the same level saw on the way down.

    Args:
        channels: of each level, the finest first; the image's size must be a multiple of 2 ** (levels - 1).
    """

    def __init__(self, *, channels: Sequence[int] = (8, 16, 32), **base: Any) -> None:
        super().__init__(**base)
        in_channels, _, _ = self.require_shape("images", "C H W")
        self.down = nn.ModuleList(two_convs(*sizes) for sizes in pairwise([in_channels, *channels]))
        steps_up = list(pairwise(reversed(channels)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(*sizes, kernel_size=2, stride=2) for sizes in steps_up)
        self.merge = nn.ModuleList(two_convs(2 * fine, fine) for _, fine in steps_up)
        self.head = nn.Conv2d(channels[0], self.out_features, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (N, C, H, W) into logits (N, K, H, W)."""
        seen = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            seen.append(x)
        for up, merge, before in zip(self.up, self.merge, reversed(seen[:-1]), strict=True):
            x = merge(torch.cat([up(x), before], dim=1))
        return self.head(x)


def two_convs(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3 x 3 convolutions that keep the size: (N, C_in, H, W) to (N, C_out, H, W)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )
