"""Layers without a nonlinearity between them, by mistake and on purpose."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.linearity import no_nonlinearity
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, mlp, rows

X = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(24) % 3
WARN, INFO = [("no nonlinearity", "warn")], [("no nonlinearity", "info")]


def head(*layers):
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


class LoRA(nn.Module):
    def __init__(self):
        super().__init__()
        self.base, self.down, self.up = (
            nn.Linear(6, 16),
            nn.Linear(6, 2, bias=False),
            nn.Linear(2, 16, bias=False),
        )
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return F.relu(self.base(x) + self.up(self.down(x)))


class GraphAttention(nn.Module):
    """W x is scored by a second layer, and used itself as well."""

    def __init__(self):
        super().__init__()
        self.features, self.score, self.out = nn.Linear(6, 16), nn.Linear(16, 1), nn.Linear(16, 3)

    def forward(self, x):
        h = self.features(x)
        return self.out(F.relu(h * F.leaky_relu(self.score(h))))


NETS = {
    "no activation at all": (lambda: nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 3)), X, WARN),
    "only dropout": (lambda: nn.Sequential(nn.Linear(6, 16), nn.Dropout(), nn.Linear(16, 3)), X, WARN),
    "only BatchNorm": (
        lambda: nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Linear(16, 3)),
        X,
        WARN,
    ),
    "one activation is missing": (
        lambda: nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)),
        X,
        WARN,
    ),
    "one convolution's is missing": (
        lambda: head(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3), nn.ReLU()),
        IMAGES,
        WARN,
    ),
    "conv and linear": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(288, 3)),
        IMAGES,
        WARN,
    ),
    "an embedding before the head": (
        lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.Linear(8, 3)),
        X,
        INFO,
    ),
    "an MLP": (lambda: mlp(6, 16, 16, 3), X, []),
    "a relu that works in place": (
        lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(16, 3)),
        X,
        [],
    ),
    "a leaky one": (lambda: mlp(6, 16, 3, activation=nn.LeakyReLU), X, []),
    "layer norm": (lambda: nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.Linear(16, 3)), X, []),
    "a bottleneck": (
        lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2), nn.Linear(2, 16)),
        X,
        [],
    ),
    "a linear autoencoder": (lambda: nn.Sequential(nn.Linear(6, 2), nn.Linear(2, 6)), X, []),
    "LoRA": (lambda: nn.Sequential(LoRA(), nn.Linear(16, 3)), X, []),
    "graph attention": (GraphAttention, X, []),
    "depthwise separable": (
        lambda: head(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1), nn.ReLU()
        ),
        IMAGES,
        [],
    ),
    "1 x 3 and 3 x 1": (
        lambda: head(
            nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, (1, 3)), nn.Conv2d(8, 8, (3, 1)), nn.ReLU()
        ),
        IMAGES,
        [],
    ),
    "reduce, then convolve": (
        lambda: head(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 8, 1), nn.Conv2d(8, 8, 3), nn.ReLU()),
        IMAGES,
        [],
    ),
    "pixel shuffle": (
        lambda: head(nn.Conv2d(3, 32, 3), nn.PixelShuffle(2), nn.Conv2d(8, 8, 3), nn.ReLU()),
        IMAGES,
        [],
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_networks(name):
    make, inputs, kinds = NETS[name]
    autoencoder = name in ("a bottleneck", "a linear autoencoder")
    loss = (lambda z, y: z.square().mean()) if autoencoder else F.cross_entropy
    assert found(Plain(make(), loss), rows(inputs, Y), no_nonlinearity) == kinds


def test_the_layers_are_named():
    net = nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 3))
    (verdict,) = examine(Plain(net, F.cross_entropy), rows(X, Y), no_nonlinearity).verdicts
    assert verdict.layers == ["net.0", "net.1"]
    assert "net.0 (6 to 16) and net.1 (16 to 3)" in verdict.message
    assert verdict.message.endswith("the whole network is a single linear function of its input.")


def test_a_single_layer_needs_no_nonlinearity():
    observer = examine(Plain(nn.Linear(6, 3), F.cross_entropy), rows(X, Y), no_nonlinearity)
    assert observer.why_not == ["the step calls fewer than two linear layers"]
