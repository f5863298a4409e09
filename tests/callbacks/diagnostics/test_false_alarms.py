"""Networks whose layers take turns or part ways draw no alarm; a fault of the same name in such a network still does."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs import HEALTHY
from benchmarks.fault_programs.healthy_branches import Mixture, RandomHead, StochasticDepth
from benchmarks.fault_runs import train
from benchmarks.fault_scores import false_alarms
from callbacks import Diagnosis
from tests.callbacks.diagnostics.deep import deep
from tests.callbacks.plain import Plain, fit, mlp, rows

BRANCHES = [name for name, program in HEALTHY.items() if program.family == "healthy_branches"]
X = torch.randn(64, 16, generator=torch.Generator().manual_seed(1))
Y = X.mean(1, keepdim=True)


@pytest.mark.parametrize("name", BRANCHES)
def test_no_alarm(name):
    outcome = train(HEALTHY[name], False, steps=100, every=1, rivals=False)
    assert outcome.error == ""
    assert outcome.learned
    assert false_alarms(outcome) == []


def diagnose(model, steps=60, every=1):
    diagnosis = Diagnosis(every)
    torch.manual_seed(5)
    fit(model, rows(X, Y, batch_size=16), diagnosis, steps=steps)
    return {verdict.kind: verdict for verdict in diagnosis.verdicts}


class Cut(nn.Module):
    """A layer that the loss does not depend on."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def forward(self, x):
        return x + self.layer(x).detach()


TAKING_TURNS = {
    "stochastic depth": lambda: StochasticDepth(nn.Linear(16, 16)),
    "experts": lambda: Mixture(16, 4),
    "heads": lambda: RandomHead(nn.Linear(16, 16), nn.Linear(16, 16)),
}


@pytest.mark.parametrize("build", TAKING_TURNS.values(), ids=TAKING_TURNS)
def test_a_layer_that_is_cut_off_among_layers_that_take_turns(build):
    net = nn.Sequential(build(), Cut(), build(), nn.Linear(16, 1))
    verdict = diagnose(Plain(net), steps=150)["no gradient"]
    assert "net.1.layer" in [tag.partition("_")[2] for tag in verdict.layers]


class TwoHeads(Plain):
    """A body and two heads, one with 1e-5 of the loss."""

    def __init__(self, body):
        super().__init__(body)
        self.main, self.aside = nn.Linear(64, 1), nn.Linear(64, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        h = self.net(x)
        return self.loss(self.main(h), y) + 1e-5 * self.loss(self.aside(h), y)


def test_a_body_where_the_gradient_vanishes_below_two_heads():
    body = nn.Sequential(deep(nn.Sigmoid, depth=10, gain=1.0)[:-1], nn.Linear(64, 64))
    verdict = diagnose(TwoHeads(body), steps=20)["vanishing gradient"]
    assert verdict.layers[0].endswith("net.0.0")


class Penalty(Plain):
    """Dead hidden units, and a relu in the loss in front of another layer."""

    def __init__(self):
        super().__init__(mlp(16, 32, 16, activation=nn.ReLU))
        self.head = nn.Linear(16, 1)
        nn.init.constant_(self.net[0].bias, -100.0)

    def training_step(self, batch, batch_idx):
        x, y = batch
        h = self.net(x)
        penalty = F.relu(h - 100).mean()
        return self.loss(self.head(h), y + 1) + penalty


def test_dead_hidden_units_next_to_a_relu_in_the_loss():
    verdict = diagnose(Penalty(), steps=20)["dead units"]
    assert [tag.partition("_")[2] for tag in verdict.layers] == ["net.0"]


class Saturated(Plain):
    """A saturated hidden layer below two heads, the first of which ends with a sigmoid."""

    def __init__(self):
        super().__init__(nn.Linear(16, 32))
        self.side, self.head = nn.Linear(32, 1), nn.Linear(32, 1)
        with torch.no_grad():
            self.net.weight *= 100

    def training_step(self, batch, batch_idx):
        x, y = batch
        h = torch.sigmoid(self.net(x))
        side = torch.sigmoid(self.side(h) - 9)
        return self.loss(self.head(h), torch.randn_like(y)) + side.mean()


def test_saturated_hidden_units_below_an_output_sigmoid():
    verdict = diagnose(Saturated(), steps=20)["saturation"]
    assert [tag.partition("_")[2] for tag in verdict.layers] == ["net"]
