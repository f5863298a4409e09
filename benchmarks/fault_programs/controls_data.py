"""Healthy programs whose data, losses or outputs look faulty: each must draw neither fail nor warn."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, control, convnet, mlp
from benchmarks.fault_programs.controls import fast
from benchmarks.fault_programs.data import Data, cancer, diabetes, digits, flat, language, loaders, rare, wine
from benchmarks.fault_programs.manual import VAE


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
