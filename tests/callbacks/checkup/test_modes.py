"""Checks of train and eval mode, dropout and BatchNorm."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.modes import (
    batch_norm_averages_enough,
    dropout_leaves_enough,
    nothing_is_dropped_in_evaluation,
    parts_that_train_are_in_train_mode,
)
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, rows

LOADER = rows(torch.randn(64, 4), torch.randn(64, 1), batch_size=16)


def network(p=0.2):
    backbone = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(p))
    return nn.Sequential(backbone, nn.Linear(5, 1))


def measured(net):
    net.train()
    net(torch.randn(32, 4))
    return net


def backbone_in_eval_mode():
    net = network()
    net[0].eval()
    return Plain(net)


def like_from_pretrained():
    return Plain(measured(network()).eval())


class EvalInStep(Plain):
    """Makes something in eval mode, and does not go back."""

    def __init__(self, back):
        super().__init__(network())
        self.back = back

    def training_step(self, batch, batch_idx):
        self.eval()
        self(batch[0])
        self.train(self.back)
        return super().training_step(batch, batch_idx)


def frozen_backbone():
    net = network()
    net[0].requires_grad_(False).eval()
    return Plain(net)


def only_norms_in_eval_mode(touched):
    net = measured(network()) if touched else network()
    net[0][1].eval()
    return Plain(net)


def without_norm_or_dropout():
    return Plain(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1)).eval())


@pytest.mark.parametrize(
    "model",
    [backbone_in_eval_mode(), like_from_pretrained(), EvalInStep(back=False), only_norms_in_eval_mode(False)],
)
def test_a_part_in_eval_mode_that_trains(model):
    assert found(model, LOADER, parts_that_train_are_in_train_mode) == [("layers in eval mode", "warn")]


def test_fixed_statistics_of_pretrained_norms_are_common_in_fine_tuning():
    model = only_norms_in_eval_mode(True)
    assert found(model, LOADER, parts_that_train_are_in_train_mode) == [("layers in eval mode", "info")]


@pytest.mark.parametrize(
    "model", [Plain(network()), frozen_backbone(), EvalInStep(back=True), without_norm_or_dropout()]
)
def test_modes_as_they_should_be(model):
    assert not found(model, LOADER, parts_that_train_are_in_train_mode)


# --- dropout in evaluation ---


class Drops(Plain):
    """`how` gets the hidden values and the module."""

    def __init__(self, how, on_input=False):
        super().__init__(nn.Identity())
        self.first, self.last, self.drop = nn.Linear(4, 8), nn.Linear(8, 1), nn.Dropout(0.3)
        self.how, self.on_input = how, on_input

    def forward(self, x):
        if self.on_input:
            return self.last(self.first(self.how(x, self)))
        return self.last(self.how(self.first(x), self))


def attention(h, p):
    h = h.view(-1, 1, 2, 4)
    return F.scaled_dot_product_attention(h, h, h, dropout_p=p).reshape(-1, 8)


def monte_carlo(h, model):
    model.drop.train()
    return model.drop(h)


@pytest.mark.parametrize(
    ("model", "severity"),
    [
        (Drops(lambda h, model: F.dropout(h, 0.3)), "warn"),
        (Drops(lambda h, model: attention(h, 0.3)), "warn"),
        (Drops(monte_carlo), "info"),
        (Drops(lambda x, model: F.dropout(x, 0.3), on_input=True), "info"),  # a denoising autoencoder
    ],
)
def test_dropout_that_evaluation_does_not_switch_off(model, severity):
    checked = examine(model, LOADER, nothing_is_dropped_in_evaluation, val=LOADER)
    assert [(each.kind, each.severity) for each in checked.verdicts] == [("dropout in evaluation", severity)]


@pytest.mark.parametrize(
    "model",
    [
        Drops(lambda h, model: model.drop(h)),
        Drops(lambda h, model: F.dropout(h, 0.3, model.training)),
        Drops(lambda h, model: F.dropout(h, 0.0)),
        Drops(lambda h, model: attention(h, 0.3 if model.training else 0.0)),
    ],
)
def test_dropout_that_evaluation_switches_off(model):
    checked = examine(model, LOADER, nothing_is_dropped_in_evaluation, val=LOADER)
    assert not checked.verdicts
    assert not checked.why_not


def test_without_validation():
    assert examine(Plain(network()), LOADER, nothing_is_dropped_in_evaluation).why_not


# --- dropout too strong ---


class Recurrent(Plain):
    def __init__(self, p):
        super().__init__(nn.LSTM(4, 3, num_layers=2, dropout=p))

    def forward(self, x):
        return self.net(x[:, None])[0][:, 0, :1]


@pytest.mark.parametrize(
    "model",
    [Plain(network(0.9)), Drops(lambda h, model: F.dropout(h, 0.95, model.training)), Recurrent(0.9)],
)
def test_dropout_that_leaves_less_than_a_tenth(model):
    assert found(model, LOADER, dropout_leaves_enough) == [("dropout too strong", "warn")]


@pytest.mark.parametrize("model", [Plain(network(0.8)), Recurrent(0.5), frozen_backbone()])
def test_usual_dropout(model):
    assert not found(model, LOADER, dropout_leaves_enough)


# --- batch too small for BatchNorm ---


@pytest.mark.parametrize(("size", "severity"), [(2, "warn"), (4, "info")])
def test_few_values_per_channel(size, severity):
    loader = rows(torch.randn(64, 4), torch.randn(64, 1), batch_size=size)
    assert found(Plain(network()), loader, batch_norm_averages_enough) == [
        ("batch too small for BatchNorm", severity)
    ]


class Images(Plain):
    def __init__(self):
        super().__init__(nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.LazyLinear(1)))
        self(torch.zeros(2, 1, 6, 6))


def test_pixels_count_as_values():
    loader = rows(torch.randn(64, 1, 6, 6), torch.randn(64, 1), batch_size=2)
    assert not found(Images(), loader, batch_norm_averages_enough)


def test_a_norm_in_eval_mode_averages_nothing():
    loader = rows(torch.randn(64, 4), torch.randn(64, 1), batch_size=2)
    assert not found(frozen_backbone(), loader, batch_norm_averages_enough)
