"""Healthy programs that look like faulty ones: each must draw neither fail nor warn."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, adam, control, convnet, mlp
from benchmarks.fault_programs.data import Data, cancer, diabetes, digits, flat, language, loaders, rare, wine
from benchmarks.fault_programs.language import Transformer, next_letter
from benchmarks.fault_programs.manual import VAE
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
def rare_class_that_is_learned() -> Run:
    """3 % positives, learned with a weighted sampler."""
    data = rare(0.03)
    weights = torch.where(data.y == 1, 10.0, 1.0)
    sampler = torch.utils.data.WeightedRandomSampler(weights.tolist(), len(data.y))
    train, val = loaders(data, shuffle=False, sampler=sampler)
    return Run(Supervised(mlp(64, 32, 2), optimizer=fast), train, val)


@control
def autoencoder() -> Run:
    """An autoencoder, whose targets are its inputs by design."""
    net = nn.Sequential(mlp(64, 48, 16), nn.ReLU(), mlp(16, 48, 64))
    x, _, x_val, _ = flat(digits())
    return Run(Supervised(net, F.mse_loss), *loaders(Data(x, x, x_val, x_val)))


@control
def variational_autoencoder() -> Run:
    """A VAE with a KL divergence of the right weight."""
    return Run(VAE(1 / 64), *loaders(digits()))


@control
def validation_sorted_by_class() -> Run:
    """Validation rows stand sorted by class, so that its batches have one class."""
    data = digits()
    order = data.y_val.argsort()
    train, _ = loaders(data)
    rows = torch.utils.data.TensorDataset(data.x_val[order], data.y_val[order])
    return Run(Supervised(convnet(8, 16)), train, torch.utils.data.DataLoader(rows, 16))


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


@control
def softmax_regression_on_probabilities() -> Run:
    """A mean squared error of softmax against one-hot targets (Brier score)."""

    def brier(out, y):
        return (out.softmax(1) - F.one_hot(y, 10)).square().sum(1).mean()

    return Run(Supervised(mlp(64, 64, 10), brier, fast), *loaders(flat(digits())))


@control
def sigmoid_with_plain_bce() -> Run:
    """A sigmoid before F.binary_cross_entropy, which wants probabilities."""
    net = mlp(30, 32, 1).append(nn.Sigmoid())
    return Run(Supervised(net, F.binary_cross_entropy), *loaders(cancer()), epochs=6)


@control
def linear_bottleneck() -> Run:
    """A factorized linear layer of low rank, and depthwise before pointwise convolution without an activation between."""
    layers = [
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, 2, 1, groups=16),
        nn.Conv2d(16, 32, 1),
    ]
    net = nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(512, 8, bias=False), nn.Linear(8, 10))
    return Run(Supervised(net, optimizer=fast), *loaders(digits()))


@control
def bidirectional_tagger() -> Run:
    """A bidirectional LSTM marks each letter as vowel or not: it may read to the end."""

    class Net(HandWritten):
        optimizer = staticmethod(fast)

        def __init__(self, letters):
            super().__init__()
            self.embed, self.lstm = (
                nn.Embedding(letters, 16),
                nn.LSTM(16, 16, batch_first=True, bidirectional=True),
            )
            self.out = nn.Linear(32, 2)

        def step(self, batch):
            x, _ = batch
            return F.cross_entropy(
                self.out(self.lstm(self.embed(x))[0]).flatten(0, 1), (x % 5 == 0).long().flatten()
            )

    data, letters = language(length=16)
    return Run(Net(letters), *loaders(data))


@control
def overlap_by_chance() -> Run:
    """A table of two coarse features: rows of validation equal rows of training by chance."""
    data = wine()
    coarse = [(2 * part[:, [6, 12]]).round() / 2 for part in (data.x, data.x_val)]
    net = Supervised(mlp(2, 16, 3), optimizer=fast)
    return Run(net, *loaders(Data(coarse[0], data.y, coarse[1], data.y_val), 16), epochs=10)


@control
def batch_norm_and_small_last_batch() -> Run:
    """BatchNorm, where an epoch's last batch has fewer rows than the others."""
    data = digits()
    net = Supervised(convnet(8, 16, norm=nn.BatchNorm2d))
    return Run(net, *loaders(data._replace(x=data.x[:1220], y=data.y[:1220]), 48), epochs=4)


@control
def targets_in_tens() -> Run:
    """Regression of targets with deviation 5 and mean 10, whose last bias begins at their mean."""
    x, y, x_val, y_val = diabetes()
    net = mlp(10, 64, 1)
    nn.init.constant_(net[-1].bias, 10.0)
    return Run(
        Supervised(net, F.mse_loss, fast), *loaders(Data(x, 10 + 5 * y, x_val, 10 + 5 * y_val)), epochs=8
    )


@control
def pixels_from_0_to_1() -> Run:
    """Pixels from 0 to 1, neither centered nor scaled further."""
    x, y, x_val, y_val = digits()
    low, high = x.min(), x.max()
    data = Data((x - low) / (high - low), y, (x_val - low) / (high - low), y_val)
    return Run(Supervised(convnet(8, 16), optimizer=fast), *loaders(data))


@control
def one_hot_columns() -> Run:
    """A table of 40 one-hot columns, most of which are 0 in most batches."""
    x, y, x_val, y_val = wine()

    def one_hot(part):
        return F.one_hot((part[:, :8] * 1.2 + 2).long().clamp(0, 4), 5).flatten(1).float()

    return Run(
        Supervised(mlp(40, 32, 3), optimizer=fast),
        *loaders(Data(one_hot(x), y, one_hot(x_val), y_val), 16),
        epochs=10,
    )
