"""Numbers that are not finite: which are first."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.finite import CHECKS
from tests.callbacks.checkup.data_checks import found, outcomes
from tests.callbacks.plain import Plain, mlp, rows

X, Y = torch.randn(40, 4), torch.randn(40, 1)
NAN = torch.nan


def with_(tensor, value, row=3):
    tensor = tensor.clone()
    tensor[row, 0] = value
    return tensor


def network(weight=None):
    net = mlp(4, 5, 1, activation=nn.ReLU)
    if weight is not None:
        net[2].weight.data[0, 0] = weight
    return net


class Log(nn.Module):
    def forward(self, x):
        return x.log()


class Root(nn.Module):
    def forward(self, x):
        return (x - x.detach()).abs().sqrt()


def masked(output, target):
    """Rows without a target do not count."""
    known = ~target.isnan()
    return F.mse_loss(output[known], target[known])


@pytest.mark.parametrize(
    ("net", "x", "y", "message"),
    [
        (network(), with_(X, NAN), Y, "the inputs have 1 NaN or infinite numbers in 1 of 10 samples"),
        (network(), with_(X, torch.inf, 35), Y, "the loss of batch 3 is not finite: the inputs have 1"),
        (network(), X, with_(Y, NAN), "the targets have 1 NaN"),
        (network(NAN), X, Y, "1 parameters have NaN or infinite numbers, first net.2.weight (1 of 5)"),
        (nn.Sequential(nn.Linear(4, 1), Root()), X, Y, "its gradient is not, for 2 of 2 parameters"),
        (nn.Sequential(nn.Linear(4, 1), Log()), X, Y, "the first layer with such an output is net.1"),
    ],
    ids=["inputs", "later batch", "targets", "parameters", "gradient", "first loss"],
)
def test_the_first_number_that_is_not_finite(net, x, y, message):
    (outcome,) = outcomes(CHECKS, Plain(net), rows(x, y, batch_size=10))
    (verdict,) = outcome.verdicts
    assert (verdict.kind, verdict.severity) == ("values not finite", "fail")
    assert message in verdict.message


class FillIn(nn.Module):
    def forward(self, x):
        return x.nan_to_num()


@pytest.mark.parametrize(
    ("model", "x", "y"),
    [
        (Plain(network()), X, Y),
        (Plain(network(), masked), X, with_(Y, NAN)),
        (Plain(nn.Sequential(FillIn(), network())), with_(X, NAN), Y),
    ],
    ids=["healthy", "targets that do not count", "inputs that are filled in"],
)
def test_healthy(model, x, y):
    assert found(CHECKS, model, rows(x, y, batch_size=10)) == {}
