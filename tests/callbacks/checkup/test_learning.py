"""Learning a few samples by heart, on copies."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.learning import CHECKS
from tests.callbacks.checkup.data_checks import found, why_not
from tests.callbacks.plain import Plain, mlp, rows

generator = torch.Generator().manual_seed(0)
X, Y = torch.randn(64, 6, generator=generator), torch.randint(3, (64,), generator=generator)
NUMBERS = torch.randn(64, 1, generator=generator)
CANNOT, NO_DIFFERENCE = "one batch cannot be fitted", "inputs make no difference"


def adam(parameters, lr=0.01):
    return torch.optim.Adam(parameters, lr=lr)


def network(out=3, hidden=64, **kwargs):
    return mlp(6, hidden, out, activation=nn.ReLU, **kwargs)


class Blank(nn.Module):
    """Loses its input."""

    def forward(self, x):
        return x * 0 + 1


LINEAR = nn.Sequential(Blank(), nn.Linear(6, 1))


def slow(parameters):
    return torch.optim.SGD(parameters, lr=1e-6)


def warming_up(parameters):
    return torch.optim.Adam([{"params": list(parameters), "initial_lr": 0.01}], lr=0.0)


@pytest.mark.parametrize(
    ("model", "y", "expected"),
    [
        (Plain(network(), F.cross_entropy, adam), Y, {}),
        (Plain(network(1), F.mse_loss, adam), NUMBERS, {}),
        (Plain(network(), F.cross_entropy, warming_up), Y, {}),
        (Plain(network(1), F.mse_loss, torch.optim.LBFGS), NUMBERS, {}),
        (Plain(nn.Sequential(network(), nn.Dropout(0.5)), F.cross_entropy, adam), Y, {}),
        (Plain(network(), F.cross_entropy, slow), Y, {CANNOT: "info"}),
        (Plain(nn.Sequential(Blank(), network()), F.cross_entropy, adam), Y, {CANNOT: "warn", NO_DIFFERENCE: "warn"}),
        (Plain(LINEAR, F.mse_loss, adam), NUMBERS, {CANNOT: "info", NO_DIFFERENCE: "info"}),
        (Plain(network(), F.cross_entropy, adam), 0 * Y, {}),
        (Plain(network(1), lambda output, y: output.square().mean(), adam), NUMBERS, {}),
        (Plain(network(1), lambda output, y: output.square().mean(), slow), NUMBERS, {CANNOT: "info"}),
    ],
    ids=[
        "classes", "numbers", "warm-up", "LBFGS", "dropout", "slow optimizer", "input lost",
        "no room", "one class", "another loss", "another loss, slow",
    ],
)  # fmt: skip
def test_learning(model, y, expected):
    torch.manual_seed(0)
    before = copy.deepcopy(model.state_dict())
    assert found(CHECKS, model, rows(X, y)) == expected
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class Manual(Plain):
    automatic_optimization = False

    def training_step(self, batch, batch_idx):
        self.manual_backward(super().training_step(batch, batch_idx))


def test_a_loss_that_need_not_fall():
    (reason,) = why_not(CHECKS, Manual(network(), F.cross_entropy), rows(X, Y))
    assert "by hand" in reason
