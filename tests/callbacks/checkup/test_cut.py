"""Checks that gradients reach what the prediction depends on."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.cut import gradients_reach_earlier_steps, gradients_reach_what_matters
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.checkup.test_steps import Gan, Manual
from tests.callbacks.plain import Plain, mlp, rows

LOADER = rows(torch.randn(64, 4), torch.randn(64, 1), batch_size=16)


class Two(Plain):
    """`join(first, x)` gives the input of the last layer."""

    def __init__(self, join, freeze=False, evaluate=False):
        super().__init__(None)
        self.first, self.last, self.join = nn.Linear(4, 6), nn.Linear(6, 1), join
        self.first.requires_grad_(not freeze).train(not evaluate)

    def forward(self, x):
        return self.last(self.join(self.first, x))


def under_no_grad(first, x):
    with torch.no_grad():
        return first(x)


def detached(first, x):
    return first(x).detach()


def data_of_weight(first, x):
    return x @ first.weight.data.T


def argmax(first, x):
    return F.one_hot(first(x).argmax(1), 6).float()


def straight_through(first, x):
    soft = first(x).softmax(1)
    return F.one_hot(soft.argmax(1), 6) + soft - soft.detach()


class OneNumber(Plain):
    """A learnt scale that is read with .item()."""

    def __init__(self):
        super().__init__(mlp(4, 3, 1))
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.net(x) * self.scale.item()


@pytest.mark.parametrize(
    "model", [Two(detached), Two(data_of_weight), Two(argmax), OneNumber()], ids=lambda model: ""
)
def test_a_value_that_matters_without_a_gradient(model):
    assert found(model, LOADER, gradients_reach_what_matters) == [("cut off from the loss", "warn")]


def test_no_grad_is_a_note():
    assert found(Two(under_no_grad), LOADER, gradients_reach_what_matters) == [
        ("cut off from the loss", "info")
    ]


class Teacher(Plain):
    """A second network gives targets under no_grad. It follows the first one, or not."""

    def __init__(self, follows=True, parameters=None):
        super().__init__(mlp(4, 5, 2))
        self.teacher, self.follows = copy.deepcopy(self.net), follows
        self.owned = parameters or (lambda model: model.parameters())

    def training_step(self, batch, batch_idx):
        x = batch[0]
        if self.follows:
            with torch.no_grad():
                for p, q in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
                    p.lerp_(q, 0.1)
        return F.mse_loss(self(x + 0.1), self.teacher(x).detach())

    def configure_optimizers(self):
        return torch.optim.Adam(self.owned(self))


class StopGradient(Plain):
    """SimSiam: the branch without a gradient is the same network."""

    def training_step(self, batch, batch_idx):
        x = batch[0]
        return F.mse_loss(self(x + 0.1), self(x).detach())


class Probe(Plain):
    """A classifier on detached features, which learn from another loss."""

    def __init__(self):
        super().__init__(mlp(4, 5, 4))
        self.probe = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        h = self(x)
        return F.mse_loss(h, x) + F.mse_loss(self.probe(h.detach()), y)


class ZeroHead(Plain):
    def __init__(self):
        super().__init__(mlp(4, 5, 1))
        nn.init.zeros_(self.net[-1].weight)


class Pooler(Plain):
    """Has a second output, which nothing uses."""

    def __init__(self):
        super().__init__(mlp(4, 5, 1))
        self.pooler = nn.Linear(4, 3)

    def forward(self, x):
        self.pooler(x)
        return self.net(x)


@pytest.mark.parametrize(
    "model",
    [
        Plain(mlp(4, 3, 1)),
        Two(straight_through),
        Two(detached, freeze=True),
        Two(under_no_grad, evaluate=True),
        Teacher(),
        Teacher(follows=False, parameters=lambda model: model.net.parameters()),
        StopGradient(mlp(4, 3, 2)),
        Probe(),
        ZeroHead(),
        Pooler(),
        Manual(),
        Gan("before"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_nothing_is_cut_off(model):
    assert not found(model, LOADER, gradients_reach_what_matters)


def test_a_network_that_only_gives_targets_is_a_note():
    assert found(Teacher(follows=False), LOADER, gradients_reach_what_matters) == [
        ("cut off from the loss", "info")
    ]


# --- within a sequence ---

SEQUENCES = rows(torch.randn(32, 6, 3), torch.randn(32, 1), batch_size=8)
PER_STEP = rows(torch.randn(32, 6, 3), torch.randn(32, 6, 1), batch_size=8)


class Recurrent(Plain):
    """An RNN whose state is cut after each `every` steps; a prediction per sequence or per step."""

    def __init__(self, every=None, per_step=False, flat=False):
        super().__init__(nn.GRUCell(3, 5))
        self.head, self.every, self.per_step, self.flat = nn.Linear(5, 1), every, per_step, flat

    def forward(self, x):
        h, states = x.new_zeros(len(x), 5), []
        for t in range(x.shape[1]):
            if self.every and t % self.every == 0:
                h = h.detach()
            h = self.net(x[:, t], h)
            states.append(h)
        return self.head(torch.stack(states, 1) if self.per_step else h)

    def training_step(self, batch, batch_idx):
        x, y = batch
        prediction = self(x)
        return F.mse_loss(prediction.flatten(), y.flatten()) if self.flat else F.mse_loss(prediction, y)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("per_step", [False, True])
def test_a_state_without_a_past(per_step, flat):
    loader = PER_STEP if per_step else SEQUENCES
    checked = examine(Recurrent(1, per_step, flat), loader, gradients_reach_earlier_steps)
    assert [(each.kind, each.severity) for each in checked.verdicts] == [("cut off from the loss", "warn")]
    assert "only the last 1 of 6 steps" in checked.verdicts[0].message


def test_a_loop_of_linear_layers_without_a_past():
    model = Recurrent(1)
    model.net = LinearCell()
    assert found(model, SEQUENCES, gradients_reach_earlier_steps) == [("cut off from the loss", "warn")]


class LinearCell(nn.Module):
    """A recurrent cell that is written by hand."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 5)

    def forward(self, x, h):
        return torch.tanh(self.layer(torch.cat([x, h], 1)))


def test_truncation_after_several_steps_is_a_note():
    assert found(Recurrent(3), SEQUENCES, gradients_reach_earlier_steps) == [
        ("cut off from the loss", "info")
    ]


class LastTwo(Recurrent):
    """Sees only the last two steps."""

    def forward(self, x):
        return super().forward(x[:, -2:])


@pytest.mark.parametrize("model", [Recurrent(), LastTwo()])
def test_a_state_with_its_past(model):
    checked = examine(model, SEQUENCES, gradients_reach_earlier_steps)
    assert not checked.verdicts
    assert not checked.why_not


def test_a_whole_lstm():
    class Lstm(Plain):
        def forward(self, x):
            return self.net(x)[0][:, -1]

    assert not found(Lstm(nn.LSTM(3, 1, batch_first=True)), SEQUENCES, gradients_reach_earlier_steps)


def test_no_sequence():
    assert examine(Recurrent(), LOADER, gradients_reach_earlier_steps).why_not
