"""The size of inputs and targets."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks import scale
from tests.callbacks.checkup.data_checks import found, why_not
from tests.callbacks.plain import Plain, mlp, rows

ENTRY, VARY, TARGETS = (scale.CHECKS[k : k + 1] for k in range(3))
N = 64
LARGE, SMALL, APART = "inputs not normalized", "inputs too small", "features of very different scale"


def drawn(*shape, seed=0):
    return torch.randn(N, *shape, generator=torch.Generator().manual_seed(seed))


TABLE = drawn(6)
BYTES = (drawn(1, 12, 12).abs() * 60).clamp(0, 255).floor()
CLASSES = torch.arange(N) % 3
SERIES = drawn(10, 2).cumsum(1)


class Divide(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, x):
        return x / self.by


def dense(x, *first):
    return nn.Sequential(*first, nn.Flatten(), mlp(x[0].numel(), 8, 3))


def conv(*after):
    return nn.Sequential(nn.Conv2d(1, 4, 3), *after, nn.ReLU(), nn.Flatten(), nn.Linear(400, 3))


def frozen(net):
    net[0].requires_grad_(False)
    return net


def column(change, number=0):
    x = TABLE.clone()
    x[:, number] = change(x[:, number])
    return x


AGE_AND_SEX = torch.stack([drawn(seed=1).abs() * 25 % 80, (drawn(seed=2) > 0).float()], 1)
ONE_HOT = F.one_hot(torch.arange(N) % 60, 60).float()
WORDS = (drawn(500).abs() > 2.5).float()
TF_IDF = F.normalize(WORDS * drawn(500, seed=3).abs() + 1e-4, dim=1)
HISTOGRAM = drawn(1000).abs() / drawn(1000).abs().sum(1, keepdim=True)
HOUSES = torch.stack([1000 + 500 * drawn(), 3 + drawn(seed=1), 30 + 10 * drawn(seed=2)], 1)


@pytest.mark.parametrize(
    ("net", "x", "expected"),
    [
        (dense(TABLE), TABLE, {}),
        (dense(BYTES), BYTES, {LARGE: "warn"}),
        (conv(), BYTES, {LARGE: "warn"}),
        (conv(), BYTES / 255, {}),
        (conv(), BYTES / 127.5 - 1, {}),
        (conv(nn.BatchNorm2d(4)), BYTES, {LARGE: "info"}),
        (frozen(conv()), BYTES, {LARGE: "info"}),  # such as weights that were trained on bytes
        (nn.Sequential(Divide(255), *conv()), BYTES, {}),
        (nn.Sequential(nn.BatchNorm2d(1), *conv()), BYTES, {}),
        (nn.Sequential(nn.Flatten(), nn.Linear(144, 3)), BYTES, {LARGE: "info"}),
        (dense(TABLE), 300 * TABLE, {LARGE: "warn"}),
        (dense(TABLE), 80 * TABLE, {LARGE: "info"}),
        (dense(AGE_AND_SEX), AGE_AND_SEX, {}),
        (dense(SERIES), SERIES, {}),
        (conv(), BYTES / 255 / 255, {SMALL: "warn"}),
        (dense(BYTES), (BYTES / 255 / 255), {SMALL: "warn"}),
        (conv(nn.BatchNorm2d(4)), BYTES / 255 / 255, {SMALL: "info"}),
        (dense(TABLE), 0.001 * TABLE, {SMALL: "info"}),
        (dense(ONE_HOT), ONE_HOT, {}),
        (dense(WORDS), WORDS, {}),
        (dense(TF_IDF), TF_IDF, {}),
        (dense(HISTOGRAM), HISTOGRAM, {}),
        (dense(TABLE), column(lambda x: 1e5 * x), {APART: "warn"}),
        (dense(TABLE), column(lambda x: 1e-6 * x), {}),
        (dense(TABLE), column(lambda x: 20 * x), {}),
        (nn.Linear(6, 3), column(lambda x: 1e5 * x), {APART: "info"}),
        (nn.Sequential(nn.BatchNorm1d(6), mlp(6, 8, 3)), column(lambda x: 1e5 * x), {}),
        (dense(HOUSES), HOUSES, {LARGE: "warn"}),
    ],
    ids=[
        "healthy", "bytes", "bytes, convolution", "0 to 1", "-1 to 1", "norm follows", "frozen", "divided in forward",
        "norm first", "linear model", "table, large", "table, rather large", "age and sex", "series", "255 twice",
        "255 twice, dense", "255 twice, norm follows", "small table", "one-hot", "words", "tf-idf", "histogram",
        "one feature large", "one feature small", "one feature larger", "linear, one large", "norm, one large", "houses",
    ],
)  # fmt: skip
def test_inputs(net, x, expected):
    assert found(ENTRY, Plain(net, F.cross_entropy), rows(x, CLASSES)) == expected


class Words(Plain):
    def forward(self, x):
        return self.net(x).mean(1)


def test_tokens_have_no_scale():
    model = Words(nn.Sequential(nn.Embedding(1000, 8), nn.Linear(8, 3)), F.cross_entropy)
    tokens = torch.arange(10 * N).view(N, 10)
    assert why_not(ENTRY, model, rows(tokens, CLASSES)) == ["no layer gets numbers from the data"]


class NoTarget(Plain):
    def training_step(self, batch, batch_idx):
        return self(batch[0]).square().mean()


@pytest.mark.parametrize(
    ("model", "x", "y", "expected"),
    [
        (Plain(dense(TABLE), F.cross_entropy), TABLE, CLASSES, {}),
        (Plain(dense(TABLE), F.cross_entropy), torch.ones(N, 6), CLASSES, {"constant inputs": "warn"}),
        (Plain(dense(TABLE), F.cross_entropy), torch.ones(N, 6), 0 * CLASSES, {"constant inputs": "info"}),
        (NoTarget(dense(TABLE)), torch.ones(N, 6), CLASSES, {"constant inputs": "info"}),
        (Plain(dense(TABLE), F.cross_entropy), column(lambda x: 0 * x), CLASSES, {}),
    ],
    ids=["healthy", "constant", "nothing to explain", "no loss function", "one column constant"],
)
def test_constant_inputs(model, x, y, expected):
    assert found(VARY, model, rows(x, y, batch_size=16)) == expected


class TwoInputs(Plain):
    def training_step(self, batch, batch_idx):
        mask, x, y = batch
        return self.loss(self(mask * x), y)


def test_a_mask_of_ones_is_not_all_there_is():
    model = TwoInputs(dense(TABLE), F.cross_entropy)
    assert found(VARY, model, rows(torch.ones(N, 6), TABLE, CLASSES)) == {}


def with_bias(value):
    net = mlp(6, 8, 1)
    net[-1].bias.data.fill_(value)
    return net


PRICES = 200_000 + 50_000 * drawn(1)


@pytest.mark.parametrize(
    ("net", "loss", "y", "expected"),
    [
        (mlp(6, 8, 1), F.mse_loss, drawn(1), {}),
        (mlp(6, 8, 1), F.mse_loss, PRICES, {"targets of another scale": "warn"}),
        (mlp(6, 8, 1), F.l1_loss, 300 * drawn(1), {"targets of another scale": "warn"}),
        (nn.Linear(6, 1), F.mse_loss, PRICES, {"targets of another scale": "info"}),
        (with_bias(200_000), F.mse_loss, PRICES, {}),
        (nn.Sequential(mlp(6, 8, 1), Divide(1e-5)), F.mse_loss, 10_000 * drawn(1), {}),
        (mlp(6, 8, 1), F.mse_loss, 30 + 20 * drawn(1), {}),  # ages
    ],
    ids=["healthy", "prices", "l1", "linear", "bias", "scaled in forward", "ages"],
)
def test_targets(net, loss, y, expected):
    assert found(TARGETS, Plain(net, loss), rows(TABLE, y)) == expected
