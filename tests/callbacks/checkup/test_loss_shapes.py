"""Predictions (N, 1) against targets (N,), and what only looks like it."""

import pytest
import torch
import torch.nn.functional as F

from callbacks.checkup.checks.loss_shapes import shapes_broadcast
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, mlp, rows

X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
COLUMN, FLAT = X[:, :1] * 2, X[:, 0] * 2


def squared(prediction, y):
    return ((prediction - y) ** 2).mean()


def negative_log_likelihood(prediction, y):
    return -(prediction.sigmoid().log() * y).mean()


def quantiles(prediction, y):
    """Every quantile (N, Q) against every target sample (N, Q'), as in QR-DQN."""
    return F.smooth_l1_loss(prediction[:, :, None], y[:, None].repeat(1, 3)[:, None])


def ranking(prediction, y):
    """Every pair of the batch, on purpose."""
    return (prediction - prediction.T).relu().mean()


def as_sets(prediction, y):
    """The distance of two sets, on purpose."""
    return (prediction[:, None, 0] - y[None, :]).abs().min(0).values.mean()


FAULTS = {
    "mse": (F.mse_loss, FLAT),
    "the other way around": (lambda p, y: F.l1_loss(p.squeeze(1), y), COLUMN),
    "by hand": (squared, FLAT),
    "by hand, a product": (negative_log_likelihood, FLAT),
    "by hand, target first": (lambda p, y: (y - p).abs().mean(), FLAT),
}
HEALTHY = {
    "columns": (F.mse_loss, COLUMN),
    "by hand": (squared, COLUMN),
    "squeezed": (lambda p, y: squared(p.squeeze(1), y), FLAT),
    "one number for all": (lambda p, y: squared(p, torch.tensor(0.5)), FLAT),
    "ranking": (ranking, FLAT),
    "sets": (as_sets, FLAT),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name):
    loss, target = FAULTS[name]
    assert found(Plain(mlp(4, 1), loss), rows(X, target, batch_size=8), shapes_broadcast) == [
        ("shapes broadcast in the loss", "fail")
    ]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_is_not_accused(name):
    loss, target = HEALTHY[name]
    assert found(Plain(mlp(4, 1), loss), rows(X, target, batch_size=8), shapes_broadcast) == []


def test_all_pairs_of_quantiles_are_meant():
    assert found(Plain(mlp(4, 8), quantiles), rows(X, FLAT, batch_size=8), shapes_broadcast) == []


def test_a_width_that_equals_the_batch_size_is_no_batch():
    """A (8, 1) parameter times an (8,) constant, in batches of 8 samples."""

    class Wide(Plain):
        def __init__(self):
            super().__init__(mlp(4, 1))
            self.scale = torch.nn.Parameter(torch.ones(8, 1))

        def training_step(self, batch, batch_idx):
            return F.mse_loss(self(batch[0]), batch[1]) * (self.scale * torch.ones(8)).mean()

    assert found(Wide(), rows(X, COLUMN, batch_size=8), shapes_broadcast) == []


def test_the_message_has_both_shapes():
    (verdict,) = examine(Plain(mlp(4, 1)), rows(X, FLAT, batch_size=8), shapes_broadcast).verdicts
    assert "predictions of shape (8, 1) to targets of shape (8,)" in verdict.message


def test_two_samples_do_not_suffice():
    observer = examine(Plain(mlp(4, 1)), rows(X, FLAT, batch_size=2), shapes_broadcast)
    assert observer.why_not == ["a batch has fewer than 3 samples"]
