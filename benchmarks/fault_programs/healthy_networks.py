"""Healthy programs of many kinds: networks, tasks and forms of batches that small examples seldom have."""

import torch
from torch import Tensor, nn

from benchmarks.fault_programs.base import Run, Supervised, adam, healthy, mlp
from benchmarks.fault_programs.controls import fast
from benchmarks.fault_programs.data import digits, flat, loaders


def program(build):
    """Register a healthy program under its function's name."""
    healthy(build.__name__, build, build.__module__.rsplit(".", 1)[-1])
    return build


def images(net: nn.Module, optimizer=fast) -> Run:
    return Run(Supervised(net, optimizer=optimizer), *loaders(digits()))


class Residual(nn.Module):
    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Concatenated(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.branch(x)], 1)


def head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 10)]


@program
def residual_convnet() -> Run:
    blocks = [
        Residual(nn.Sequential(nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1)))
        for _ in range(4)
    ]
    return images(nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), *blocks, *head(16)))


@program
def dense_convnet() -> Run:
    blocks = [Concatenated(nn.Sequential(nn.ReLU(), nn.Conv2d(8 + 8 * i, 8, 3, padding=1))) for i in range(3)]
    return images(nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), *blocks, *head(32)))


@program
def separable_convnet() -> Run:
    layers = [
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.Conv2d(16, 16, 3, 2, 1, groups=16),
    ]
    return images(
        nn.Sequential(*layers, nn.BatchNorm2d(16), nn.ReLU6(), nn.Conv2d(16, 32, 1), nn.ReLU(), *head(32))
    )


class Excited(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(n, n, 3, padding=1), mlp(n, 4, n)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        return x * torch.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None]


@program
def squeeze_and_excitation() -> Run:
    return images(nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), Excited(16), *head(16)))


class Patches(nn.Module):
    """A vision transformer on sixteen patches of 2x2 pixels, with a class token."""

    def __init__(self, size: int = 32) -> None:
        super().__init__()
        self.patch, self.token = nn.Conv2d(1, size, 2, 2), nn.Parameter(torch.zeros(1, 1, size))
        self.place = nn.Parameter(0.02 * torch.randn(17, size))
        layer = nn.TransformerEncoderLayer(size, 4, 64, dropout=0.1, batch_first=True, norm_first=True)
        self.encoder, self.head = (
            nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
            nn.Linear(size, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place
        return self.head(self.encoder(x)[:, 0])


@program
def vision_transformer() -> Run:
    return images(Patches(), adam)


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch, self.tokens, self.channels = nn.Conv2d(1, 32, 2, 2), mlp(16, 32, 16), mlp(32, 64, 32)
        self.norms, self.head = nn.ModuleList(nn.LayerNorm(32) for _ in range(2)), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        return self.head((x + self.channels(self.norms[1](x))).mean(1))


@program
def mlp_mixer() -> Run:
    return images(Mixer())


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.experts, self.gate = nn.ModuleList(mlp(64, 32, 10) for _ in range(4)), nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        return (self.gate(x).softmax(1)[..., None] * torch.stack([e(x) for e in self.experts], 1)).sum(1)


@program
def mixture_of_experts() -> Run:
    return Run(Supervised(Experts()), *loaders(flat(digits())))


@program
def highway_network() -> Run:
    class Highway(nn.Module):
        def __init__(self):
            super().__init__()
            self.way, self.gate = nn.Linear(64, 64), nn.Linear(64, 64)
            nn.init.constant_(self.gate.bias, -1.0)

        def forward(self, x):
            gate = torch.sigmoid(self.gate(x))
            return gate * torch.relu(self.way(x)) + (1 - gate) * x

    net = nn.Sequential(*(Highway() for _ in range(4)), nn.Linear(64, 10))
    return Run(Supervised(net), *loaders(flat(digits())))


@program
def maxout_network() -> Run:
    class Maxout(nn.Linear):
        def forward(self, x):
            return super().forward(x).unflatten(1, (-1, 2)).amax(2)

    return Run(Supervised(nn.Sequential(Maxout(64, 96), nn.Linear(48, 10))), *loaders(flat(digits())))


@program
def weight_norm() -> Run:
    net = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(64, 64)), nn.ReLU(), nn.Linear(64, 10)
    )
    return Run(Supervised(net), *loaders(flat(digits())))


@program
def self_normalizing_network() -> Run:
    net = mlp(64, 48, 48, 48, 10, activation=nn.SELU)
    for layer in net[::2]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    return Run(Supervised(net), *loaders(flat(digits())))
