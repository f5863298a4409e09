"""Each loss function gets what it expects: faulty programs, and the healthy ones nearest to them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.loss import loss_inputs
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, mlp, rows

X = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
CLASS = X[:, :3].argmax(1)  # of 3
BINARY = (X[:, :1] > 0).float()  # (N, 1)
AMOUNT = X[:, :1] * 3 + X[:, 1:2]  # (N, 1), both signs


def ends_in(function, outputs):
    """A network whose head is followed by a function."""

    class Ended(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp(6, 16, outputs, activation=nn.ReLU)

        def forward(self, x):
            return function(self.net(x))

    return Ended()


def kinds(function, outputs, loss, target, batch_size=32):
    torch.manual_seed(1)
    model = Plain(ends_in(function, outputs), loss)
    return found(model, rows(X, target, batch_size=batch_size), loss_inputs)


def nll_of_log_softmax(logits, y):
    return F.nll_loss(logits.log_softmax(1), y)


def energy_loss(logits, y):
    """Cross-entropy, written as the score of the target and the logarithm of the sum."""
    return F.nll_loss(logits, y) + logits.logsumexp(1).mean()


def own_sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def same(x):
    return x


def one_hot(y):
    return F.one_hot(y, 3).float()


def kl(outputs, y):
    return F.kl_div(outputs, 0.8 * one_hot(y) + 0.1, reduction="batchmean")


LOGIT_LOSS = F.binary_cross_entropy_with_logits
FAULTS = {
    "softmax": (lambda z: z.softmax(1), 3, F.cross_entropy, CLASS, "softmax before cross-entropy", "fail"),
    "softmax, clamped": (
        lambda z: z.softmax(1).clamp(1e-7, 1),
        3,
        F.cross_entropy,
        CLASS,
        "softmax before cross-entropy",
        "fail",
    ),
    "sigmoid": (torch.sigmoid, 1, LOGIT_LOSS, BINARY, "sigmoid before BCE with logits", "fail"),
    "own sigmoid": (own_sigmoid, 1, LOGIT_LOSS, BINARY, "sigmoid before BCE with logits", "warn"),
    "sigmoid twice": (
        lambda z: z.sigmoid().sigmoid(),
        1,
        F.binary_cross_entropy,
        BINARY,
        "sigmoid before BCE with logits",
        "fail",
    ),
    "logits into nll": (same, 3, F.nll_loss, CLASS, "logits into NLL loss", "fail"),
    "probabilities into nll": (
        lambda z: z.softmax(1),
        3,
        F.nll_loss,
        CLASS,
        "logits into NLL loss",
        "warn",
    ),
    "kl": (lambda z: z.softmax(1), 3, kl, CLASS, "probabilities into KL divergence", "fail"),
    "over the batch": (lambda z: z.softmax(0), 3, F.cross_entropy, CLASS, "softmax over the batch", "fail"),
    "log_softmax over the batch": (
        lambda z: z.log_softmax(0),
        3,
        F.nll_loss,
        CLASS,
        "softmax over the batch",
        "fail",
    ),
    "relu": (torch.relu, 3, F.cross_entropy, CLASS, "nonlinearity on the logits", "warn"),
    "relu, one logit": (torch.relu, 1, LOGIT_LOSS, BINARY, "nonlinearity on the logits", "warn"),
    "tanh": (torch.tanh, 3, F.cross_entropy, CLASS, "nonlinearity on the logits", "warn"),
    "clamp": (lambda z: z.clamp(min=0), 3, F.cross_entropy, CLASS, "nonlinearity on the logits", "warn"),
    "sigmoid, classes": (torch.sigmoid, 3, F.cross_entropy, CLASS, "nonlinearity on the logits", "fail"),
    "relu head": (torch.relu, 1, F.mse_loss, AMOUNT, "output cannot reach the targets", "fail"),
    "sigmoid head": (torch.sigmoid, 1, F.l1_loss, AMOUNT, "output cannot reach the targets", "fail"),
    "tanh head": (torch.tanh, 1, F.huber_loss, AMOUNT, "output cannot reach the targets", "fail"),
    "softmax of one output": (
        lambda z: z.softmax(1),
        1,
        F.mse_loss,
        BINARY,
        "output cannot reach the targets",
        "fail",
    ),
}

HEALTHY = {
    "logits": (same, 3, F.cross_entropy, CLASS),
    "log_softmax into cross_entropy": (lambda z: z.log_softmax(1), 3, F.cross_entropy, CLASS),
    "label smoothing": (same, 3, lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1), CLASS),
    "soft targets": (same, 3, lambda z, y: F.cross_entropy(z, one_hot(y)), CLASS),
    "binary logit": (same, 1, LOGIT_LOSS, BINARY),
    "sigmoid into BCE": (torch.sigmoid, 1, F.binary_cross_entropy, BINARY),
    "gated head": (lambda z: z.sigmoid() * 3, 1, LOGIT_LOSS, BINARY),
    "nll": (same, 3, nll_of_log_softmax, CLASS),
    "energy": (same, 3, energy_loss, CLASS),
    "kl of log_softmax": (lambda z: z.log_softmax(1), 3, kl, CLASS),
    "soft-capped logits": (lambda z: 30 * torch.tanh(z / 30), 3, F.cross_entropy, CLASS),
    "clipped logits": (lambda z: z.clamp(-10, 10), 3, F.cross_entropy, CLASS),
    "leaky relu": (F.leaky_relu, 3, F.cross_entropy, CLASS),
    "relu, then pooled": (lambda z: z.relu().reshape(-1, 3, 2).mean(2), 6, F.cross_entropy, CLASS),
    "contrastive": (lambda z: (z @ z.T).softmax(0), 6, lambda s, y: -s.diag().log().mean(), CLASS),
    "sigmoid head": (torch.sigmoid, 1, F.mse_loss, BINARY),
    "relu head": (torch.relu, 1, F.mse_loss, AMOUNT.abs()),
    "relu head, a little noise": (torch.relu, 1, F.mse_loss, AMOUNT.abs() * 9 - 0.3),
    "plain regression": (same, 1, F.mse_loss, AMOUNT),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name):
    *program, kind, severity = FAULTS[name]
    assert kinds(*program) == [(kind, severity)]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_is_not_accused(name):
    assert kinds(*HEALTHY[name]) == []


@pytest.mark.parametrize("outputs", [0.0, 0.5])
def test_untrained_logits_may_all_lie_between_0_and_1(outputs):
    net = mlp(6, 16, 1, activation=nn.ReLU)
    nn.init.zeros_(net[-1].weight)
    nn.init.constant_(net[-1].bias, outputs)
    assert found(Plain(net, LOGIT_LOSS), rows(X, BINARY, batch_size=32), loss_inputs) == []


def test_one_batch_is_enough_for_a_softmax():
    assert kinds(lambda z: z.softmax(1), 3, F.cross_entropy, CLASS, batch_size=64)


def test_pixels_have_their_classes_on_axis_1():
    class Pixels(Plain):
        def training_step(self, batch, batch_idx):
            x, y = batch
            return F.cross_entropy(self(x).reshape(-1, 3, 2).softmax(1), torch.stack([y, y], 1))

    assert found(Pixels(mlp(6, 6)), rows(X, CLASS, batch_size=32), loss_inputs) == [
        ("softmax before cross-entropy", "fail")
    ]


def test_two_adversaries_are_checked_one_by_one():
    """The same loss with and without a sigmoid: only one of them is wrong."""

    class Two(Plain):
        def training_step(self, batch, batch_idx):
            x, y = batch
            return LOGIT_LOSS(self(x), y) + LOGIT_LOSS(self(x).sigmoid(), y)

    assert found(Two(mlp(6, 1)), rows(X, BINARY, batch_size=32), loss_inputs) == [
        ("sigmoid before BCE with logits", "fail")
    ]


def test_a_loss_written_by_hand_cannot_be_checked():
    observer = examine(Plain(mlp(6, 1), lambda p, y: ((p - y) ** 2).mean()), rows(X, AMOUNT), loss_inputs)
    assert observer.verdicts == []
    assert observer.why_not == ["the step gives no loss function of torch a prediction"]


def test_the_message_has_the_numbers():
    model = Plain(ends_in(lambda z: z.softmax(1), 3), F.cross_entropy)
    (verdict,) = examine(model, rows(X, CLASS, batch_size=32), loss_inputs).verdicts
    assert "with 3 classes the loss cannot fall below 0.551." in verdict.message
