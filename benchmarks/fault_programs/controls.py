"""Healthy programs that look like faulty ones: each must draw neither fail nor warn."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, adam, control, convnet, mlp
from benchmarks.fault_programs.data import digits, flat, language, loaders
from benchmarks.fault_programs.language import Transformer, next_letter
from benchmarks.fault_programs.wiring import TwoParts

fast = partial(adam, lr=1e-2)


@control
def log_softmax_into_cross_entropy() -> Run:
    """log_softmax before cross_entropy changes nothing."""
    return Run(Supervised(mlp(64, 64, 10).append(nn.LogSoftmax(1))), *loaders(flat(digits())))


class LoRA(nn.Module):
    """A frozen layer plus the product of two thin matrices, one of which begins at zero."""

    def __init__(self, layer: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(rank, layer.in_features) / layer.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, x):
        return self.layer(x) + x @ self.a.T @ self.b.T


@control
def low_rank_adapters() -> Run:
    """LoRA on a frozen network."""
    net = nn.Sequential(
        LoRA(nn.Linear(64, 64)), nn.ReLU(), LoRA(nn.Linear(64, 64)), nn.ReLU(), nn.Linear(64, 10)
    )
    return Run(Supervised(net, optimizer=fast), *loaders(flat(digits())))


class Scaled(nn.Module):
    """x + scale * branch(x), where the scale begins at `start`."""

    def __init__(self, size: int, start: float, per_channel: bool) -> None:
        super().__init__()
        self.norm, self.branch = nn.LayerNorm(size), mlp(size, 2 * size, size, activation=nn.GELU)
        self.scale = nn.Parameter(torch.full((size if per_channel else 1,), start))

    def forward(self, x):
        return x + self.scale * self.branch(self.norm(x))


def residual(start: float, per_channel: bool = True, depth: int = 6) -> Run:
    blocks = [Scaled(48, start, per_channel) for _ in range(depth)]
    net = nn.Sequential(nn.Linear(64, 48), *blocks, nn.LayerNorm(48), nn.Linear(48, 10))
    return Run(Supervised(net), *loaders(flat(digits())))


@control
def layer_scale_of_a_millionth() -> Run:
    """Layer scale begins at 1e-6, as in ConvNeXt."""
    return residual(1e-6)


@control
def rezero() -> Run:
    """ReZero: each branch begins with the factor 0."""
    return residual(0.0, per_channel=False)


@control
def last_layer_begins_at_zero() -> Run:
    """The last layer's weights and biases are 0."""
    net = convnet(8, 16)
    nn.init.zeros_(net[-1].weight)
    nn.init.zeros_(net[-1].bias)
    return Run(Supervised(net, optimizer=fast), *loaders(digits()))


@control
def last_norm_of_each_block_begins_at_zero() -> Run:
    """A residual network whose last BatchNorm of each block begins with weight 0."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            layers = [nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)]
            self.layers = nn.Sequential(
                *layers, nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16)
            )
            nn.init.zeros_(self.layers[-1].weight)

        def forward(self, x):
            return torch.relu(x + self.layers(x))

    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), Block(), Block(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10)
    )
    return Run(Supervised(net), *loaders(digits()))


@control
def backbone_frozen_and_left_out() -> Run:
    """A frozen body in eval mode; the optimizer gets the head only."""

    class Net(TwoParts):
        def __init__(self):
            super().__init__()
            self.body.requires_grad_(False)

        def train(self, mode=True):
            super().train(mode)
            self.body.eval()
            return self

        def configure_optimizers(self):
            return torch.optim.Adam(self.head.parameters(), lr=1e-1)

    return Run(Net(), *loaders(digits()))


@control
def backbone_with_frozen_batch_norm() -> Run:
    """A frozen convolutional body with BatchNorm in eval mode below a trained head."""

    class Net(HandWritten):
        optimizer = staticmethod(fast)

        def __init__(self):
            super().__init__()
            self.body = convnet(16, 32, classes=64, norm=nn.BatchNorm2d).requires_grad_(False).eval()
            self.head = mlp(64, 64, 10)

        def on_train_epoch_start(self):
            self.body.eval()

        def step(self, batch):
            with torch.no_grad():
                z = self.body(batch[0])
            return F.cross_entropy(self.head(z), batch[1])

        def configure_optimizers(self):
            return self.optimizer(p for p in self.parameters() if p.requires_grad)

    return Run(Net(), *loaders(digits()))


@control
def contrastive_pairs() -> Run:
    """SimCLR: cross-entropy of an N x N matrix of similarities, where samples meet by design."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.net = mlp(64, 64, 32)

        def view(self, x):
            return F.normalize(self.net(x + 0.3 * torch.randn_like(x)), dim=1)

        def step(self, batch):
            x = batch[0].flatten(1)
            similarity = self.view(x) @ self.view(x).T / 0.2
            return F.cross_entropy(similarity, torch.arange(len(x)))

    return Run(Net(), *loaders(digits()))


@control
def two_encoders_of_halves() -> Run:
    """CLIP on the upper and the lower half of a digit: a symmetric N x N loss with a learned temperature."""

    class Net(HandWritten):
        optimizer = staticmethod(fast)

        def __init__(self):
            super().__init__()
            self.upper, self.lower = mlp(32, 64, 32), mlp(32, 64, 32)
            self.log_scale = nn.Parameter(torch.tensor(2.0))

        def step(self, batch):
            upper, lower = batch[0].flatten(1).chunk(2, 1)
            upper, lower = F.normalize(self.upper(upper), dim=1), F.normalize(self.lower(lower), dim=1)
            similarity = self.log_scale.exp() * upper @ lower.T
            target = torch.arange(len(upper))
            return (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2

    return Run(Net(), *loaders(digits()), epochs=3)


@control
def tied_embedding_and_head() -> Run:
    """A language model whose head shares the embedding's weights."""
    data, letters = language()
    net = Transformer(letters)
    nn.init.normal_(net.embed.weight, std=0.1)
    net.head.weight = net.embed.weight
    return Run(Supervised(net, next_letter, fast), *loaders(data))


@control
def pretrained_weights() -> Run:
    """Fine-tuning with a small rate from weights that know half of the task."""
    data = flat(digits())
    net = mlp(64, 64, 10)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for rows in torch.arange(len(data.x)).split(64):
        optimizer.zero_grad()
        F.cross_entropy(net(data.x[rows]), data.y[rows]).backward()
        optimizer.step()
    return Run(Supervised(net, optimizer=partial(adam, lr=1e-3)), *loaders(data))


@control
def optimizer_made_before_a_move() -> Run:
    """The optimizer is made in __init__, before Lightning moves the module: its parameters stay the same."""

    class Net(TwoParts):
        def __init__(self):
            super().__init__()
            self.made_in_init = adam(self.parameters())

        def configure_optimizers(self):
            return self.made_in_init

    return Run(Net(), *loaders(digits()))
