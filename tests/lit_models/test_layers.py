"""Activation functions, and initial weights against the formulas that define them."""

import math
from typing import get_args

import pytest
import torch
from torch import nn

from lit_models.layers import ACTIVATIONS, ActivationName, initialize, new_activation

FORMULAS = {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "softplus": lambda x: math.log(1 + math.exp(x)),
}


@pytest.mark.parametrize("name", get_args(ActivationName))
def test_activation_equals_its_formula(name: str) -> None:
    points = [-3.0, -0.5, 0.0, 0.7, 2.0]
    assert new_activation(name)(torch.tensor(points)).tolist() == pytest.approx(
        [FORMULAS[name](x) for x in points], abs=1e-6
    )


def test_every_activation_can_be_named() -> None:
    assert set(ACTIVATIONS) == set(get_args(ActivationName))


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match=r"activation is 'rellu'; it must be one of sigmoid, tanh"):
        new_activation("rellu")
    with pytest.raises(ValueError, match=r"init is 'kaiming'; it must be one of default, xavier"):
        initialize(nn.Linear(1, 1), "kaiming")


@pytest.mark.parametrize("gain", [1.0, 2.5])
@pytest.mark.parametrize(
    ("init", "variance"),
    [
        ("default", lambda fan_in, fan_out: 1 / (3 * fan_in)),  # uniform within 1 / sqrt(fan_in)
        ("xavier", lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        ("he", lambda fan_in, fan_out: 2 / fan_in),
    ],
)
@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"),
    [(lambda: nn.Linear(300, 200), 300, 200), (lambda: nn.Conv2d(32, 64, 5), 32 * 25, 64 * 25)],
    ids=["linear", "conv"],
)
def test_standard_deviation_of_the_weights(init, variance, layer, fan_in, fan_out, gain) -> None:
    torch.manual_seed(0)
    module = layer()
    initialize(module, init, gain)
    assert module.weight.std().item() == pytest.approx(gain * variance(fan_in, fan_out) ** 0.5, rel=0.02)
    assert module.weight.mean().item() == pytest.approx(0, abs=0.01 * gain)


def test_default_leaves_pytorchs_own_weights() -> None:
    torch.manual_seed(0)
    expected = nn.Linear(3, 4)
    torch.manual_seed(0)
    module = nn.Linear(3, 4)
    initialize(module, "default")
    assert torch.equal(module.weight, expected.weight)
    assert torch.equal(module.bias, expected.bias)


@pytest.mark.parametrize("shape", [(30, 30), (20, 30), (30, 20)])
def test_orthogonal_weights_are_orthogonal(shape: tuple[int, int]) -> None:
    module = nn.Linear(shape[1], shape[0])
    initialize(module, "orthogonal", gain=3.0)
    weight = module.weight if shape[0] <= shape[1] else module.weight.T
    torch.testing.assert_close(weight @ weight.T, 9 * torch.eye(len(weight)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("init", ["xavier", "he", "orthogonal"])
def test_biases_start_at_0(init: str) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3), nn.Linear(3, 1, bias=False))
    initialize(network, init)
    assert not any(layer.bias.any() for layer in (network[0], network[2]))


@pytest.mark.parametrize("init", ["xavier", "he"])
def test_signals_keep_their_variance_through_a_deep_network(init: str) -> None:
    torch.manual_seed(0)
    activation = {"xavier": nn.Identity, "he": nn.ReLU}[init]
    layers = [module for _ in range(20) for module in (nn.Linear(200, 200), activation())]
    network = nn.Sequential(*layers)
    initialize(network, init)
    power = network(torch.randn(100, 200)).pow(2).mean().item()
    assert 0.2 < power < 5
