"""The multilayer perceptron's layers."""

import torch
from torch import nn

from lit_models import LitMLP
from tests.lit_models.cases import FLAT


def test_depth_repeats_the_hidden_layers() -> None:
    model = LitMLP(**FLAT, hidden_sizes=[10], depth=20)
    linear = [layer for layer in model.layers if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in linear] == [5] + [10] * 20


def test_output_has_neither_activation_nor_dropout() -> None:
    layers = LitMLP(**FLAT, hidden_sizes=[4], dropout=0.5).layers
    assert [type(layer) for layer in layers] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]


def test_without_bias() -> None:
    model = LitMLP(**FLAT, bias=False)
    assert not any(name.endswith("bias") for name, _ in model.named_parameters())
    assert model(torch.zeros(1, 5)).item() == 0
