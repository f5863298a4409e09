"""The convolutional network's blocks."""

import pytest
import torch
from torch import nn

from lit_models.convnet import conv_block
from tests.lit_models.cases import make, make_batch


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus"])
def test_pooling_before_an_increasing_activation_equals_pooling_after(activation: str) -> None:
    torch.manual_seed(0)
    conv, pool, act = block = conv_block(1, 4, 1, 3, activation, batch_norm=False)
    x = torch.randn(2, 1, 9, 9)
    torch.testing.assert_close(block(x), pool(act(conv(x))))


def test_batch_norm_block_starts_with_a_convolution_without_bias() -> None:
    conv, *_ = block = conv_block(1, 4, 1, 3, "relu", batch_norm=True)
    assert conv.bias is None
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in block)


def test_memory_format_changes_no_output() -> None:
    last, first = (make("convnet", channels_last=on) for on in (True, False))
    x, _ = make_batch("convnet")
    torch.testing.assert_close(last(x), first(x))
