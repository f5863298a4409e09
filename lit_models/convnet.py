"""Convolutional network: blocks of 3 x 3 convolutions and max-pooling, then one linear layer."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lit_models.base import LitModel
from lit_models.layers import ActivationName, InitName, initialize, new_activation


class LitConvNet(LitModel):
    """Each block halves the image; after Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556.

    Args:
        channels: of each block.
        convs_per_block: convolutions before each pooling.
        kernel_size: of the convolutions, an odd number; padding keeps the image's size.
        activation: after each convolution.
        batch_norm: normalize each channel before its activation (Ioffe and Szegedy 2015,
            https://arxiv.org/abs/1502.03167).
        global_pool: the linear layer reads the mean of each channel instead of every pixel.
        dropout: share of the linear layer's inputs that are dropped in each training step.
        init: of the weights, see `initialize`.
        channels_last: keep images as (N, H, W, C) in memory, which is faster for convolutions on CPUs and tensor cores.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (16, 64, 128),
        convs_per_block: int = 1,
        kernel_size: int = 3,
        activation: ActivationName = "relu",
        batch_norm: bool = False,
        global_pool: bool = False,
        dropout: float = 0.0,
        init: InitName = "default",
        channels_last: bool = True,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        in_channels, height, width = self.require_shape("images", "C H W")
        num_pools = len(channels)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it is a share, from 0 to below 1")
        if min(height, width) < 2**num_pools:
            raise ValueError(
                f"{num_pools} blocks halve a {height} x {width} image to nothing; use fewer channels"
            )
        blocks = []
        for out_channels in channels:
            blocks.append(
                conv_block(in_channels, out_channels, convs_per_block, kernel_size, activation, batch_norm)
            )
            in_channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        pixels = 1 if global_pool else (height >> num_pools) * (width >> num_pools)
        pool: nn.Module = nn.AdaptiveAvgPool2d(1) if global_pool else nn.Identity()
        self.head = nn.Sequential(
            pool, nn.Flatten(), nn.Dropout(dropout), nn.Linear(in_channels * pixels, self.out_features)
        )
        initialize(self, init)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (N, C, H, W) into logits (N, K)."""
        return self.head(self.blocks(x.contiguous(memory_format=self.memory_format)))


def conv_block(
    in_channels: int,
    out_channels: int,
    num_convs: int,
    kernel_size: int,
    activation_name: str,
    batch_norm: bool,
) -> nn.Sequential:
    """Convolutions and one pooling: (N, C_in, H, W) to (N, C_out, H / 2, W / 2)."""
    layers: list[nn.Module] = []
    for index in range(num_convs):
        layers.append(nn.Conv2d(in_channels, out_channels, kernel_size, padding="same", bias=not batch_norm))
        if index == num_convs - 1:
            # Pool before the activation: an increasing activation commutes with the maximum, and gets a quarter to do.
            layers.append(nn.MaxPool2d(2))
        if batch_norm:
            layers.append(nn.BatchNorm2d(out_channels))
        layers.append(new_activation(activation_name))
        in_channels = out_channels
    return nn.Sequential(*layers)
