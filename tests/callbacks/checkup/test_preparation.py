"""Validation inputs: prepared as training inputs are, whatever else differs between the splits."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from callbacks.checkup.checks.preparation import CHECKS
from tests.callbacks.checkup.data_checks import classifier, found, why_not
from tests.callbacks.plain import Plain

KIND = "validation data prepared differently"
WARN, INFO = {KIND: "warn"}, {KIND: "info"}
N = 400


def table(seed=0, features=6):
    return torch.randn(N, features, generator=torch.Generator().manual_seed(seed))


def images(seed=0, channels=1):
    """Smooth gray levels 0..255 with much black, as bytes."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.rand(N, channels, 1, 1, generator=generator)
    pixels = 300 * level * torch.rand(N, channels, 8, 8, generator=generator) - 60
    return pixels.clamp(0, 255).to(torch.uint8)


def loader(x):
    return DataLoader(TensorDataset(x, torch.arange(len(x)) % 3), batch_size=50)


def heavy_tails(seed):
    return table(seed).pow(5)


def first_feature(change):
    x = table(1)
    x[:, 0] = change(x[:, 0])
    return x


def with_outliers(share):
    x = table(1)
    x[: int(share * N)] *= 30
    return x


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        (table(), table(1), {}),
        (heavy_tails(0), heavy_tails(1), {}),
        (table(), 10 * table(1) + 50, WARN),
        (table(), table(1) / 4 + 0.5, WARN),
        (images() / 255, images(1).float(), WARN),
        (images() / 255, images(1), WARN),
        (images() / 255, images(1) / 255, {}),
        ((images() / 255 - 0.2) / 0.2, images(1) / 255, WARN),
        (images(channels=3) / 127.5 - 1, images(1, channels=3) / 255, INFO),  # the spreads differ by 2 only
        (images() / 255, 0.7 * images(1) / 255, {}),  # darker
        (table(), first_feature(lambda x: x + 3), INFO),  # the year, for example
        (table(), first_feature(lambda x: 100 * x), INFO),
        (table(), table(1) + 0.2, {}),
        (table(), with_outliers(0.09), {}),
        (table(features=1), 10 * table(1, features=1) + 5, INFO),  # one series, cut in time
    ],
)
def test_preparation(train, val, expected):
    assert found(CHECKS, classifier(train[0].numel()), loader(train), loader(val)) == expected


def test_anomalies_in_validation_of_an_autoencoder_are_no_fault():
    class Autoencoder(Plain):
        def training_step(self, batch, batch_idx):
            return F.mse_loss(self(batch[0]), batch[0])

    assert found(CHECKS, Autoencoder(nn.Linear(6, 6)), loader(table()), loader(30 * table(1))) == INFO


def test_crops_of_another_size_are_compared_by_channel():
    train, val = images(channels=3) / 255, images(1, channels=3)[..., :6] / 255
    net = nn.Sequential(nn.Conv2d(3, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert found(CHECKS, Plain(net, F.cross_entropy), loader(train), loader(val)) == {}
    assert found(CHECKS, Plain(net, F.cross_entropy), loader(train), loader(255 * val)) == WARN


TOKENS = torch.arange(N)[:, None].repeat(1, 6) % 9


class Words(Plain):
    def forward(self, x):
        return self.net(x).mean(1)


@pytest.mark.parametrize(
    ("model", "train", "val", "reason"),
    [
        (classifier(6), table(), None, "no validation data"),
        (classifier(6), table(), table()[:20], "too few rows"),
        (Words(nn.Embedding(9, 3), F.cross_entropy), TOKENS, TOKENS, "tokens"),
    ],
    ids=["no validation", "few", "tokens"],
)
def test_what_cannot_be_compared(model, train, val, reason):
    (why,) = why_not(CHECKS, model, loader(train), val if val is None else loader(val))
    assert reason in why
