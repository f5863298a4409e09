"""Losses that are maximized, and class weights that favour the frequent classes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.objective import class_weights, loss_is_maximized
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, mlp, rows

X = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
CLASS = torch.tensor([0] * 240 + [1] * 110 + [2] * 40 + [3] * 10)[torch.randperm(400)]
RARE = (torch.arange(400) % 10 == 0).float()[:, None]  # 40 of 400
COUNTS = torch.tensor([240.0, 110, 40, 10])


def cross_entropy_by_reward(logits, y):
    """REINFORCE with rewards that are all negative: -(log p * reward)."""
    reward = -torch.rand(len(y), generator=torch.Generator().manual_seed(0))
    return (F.cross_entropy(logits, y, reduction="none") * reward).mean()


def likelihood(logits, y):
    log_likelihood = -F.cross_entropy(logits, y)
    return -log_likelihood


def with_a_bonus(logits, y):
    """A small reward for disagreement, within a larger loss written by hand."""
    return 10 * (logits - F.one_hot(y, 4)).square().mean() - 0.1 * F.mse_loss(
        logits[:-1], logits[1:].detach()
    )


def adversary(logits, y):
    return F.cross_entropy(logits, y) - 2 * F.mse_loss(logits, torch.zeros_like(logits))


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: -F.cross_entropy(z, y),
        lambda z, y: -F.cross_entropy(z, y, reduction="none").mean(),
        lambda z, y: 1 - F.mse_loss(z, F.one_hot(y, 4).float()),
    ],
)
def test_a_maximized_loss_is_found(loss):
    observer = found(Plain(mlp(4, 8, 4), loss), rows(X, CLASS, batch_size=40), loss_is_maximized)
    assert observer == [("loss is maximized", "fail")]


@pytest.mark.parametrize("loss", [F.cross_entropy, likelihood, with_a_bonus])
def test_a_healthy_loss_is_not_accused(loss):
    assert found(Plain(mlp(4, 8, 4), loss), rows(X, CLASS, batch_size=40), loss_is_maximized) == []


def test_negative_rewards_push_away_on_purpose():
    model = Plain(mlp(4, 8, 4), cross_entropy_by_reward)
    assert found(model, rows(X, CLASS, batch_size=40), loss_is_maximized) == []


def test_several_losses_may_oppose_each_other():
    observer = examine(Plain(mlp(4, 4), adversary), rows(X, CLASS, batch_size=40), loss_is_maximized)
    assert observer.why_not == ["the step does not have exactly one loss function of torch"]


def picked(logits, y):
    return F.log_softmax(logits, 1)[torch.arange(len(y)), y].mean()


def log_likelihood(mean, y):
    return torch.distributions.Normal(mean, 1.0).log_prob(y).mean()


def by_reward(logits, y):
    """REINFORCE with actions that are not in the batch."""
    return F.log_softmax(logits, 1)[torch.arange(len(y)), logits.argmax(1)].mean()


@pytest.mark.parametrize(("loss", "outputs", "target"), [(picked, 4, CLASS), (log_likelihood, 1, X[:, :1])])
def test_a_likelihood_written_by_hand(loss, outputs, target):
    def right(prediction, y):
        return -loss(prediction, y)

    loader = rows(X, target, batch_size=40)
    assert found(Plain(mlp(4, outputs), loss), loader, loss_is_maximized) == [("loss is maximized", "fail")]
    assert found(Plain(mlp(4, outputs), right), loader, loss_is_maximized) == []


def test_other_losses_written_by_hand_cannot_be_checked():
    observer = examine(Plain(mlp(4, 4), by_reward), rows(X, CLASS, batch_size=40), loss_is_maximized)
    assert observer.why_not == [
        "the step calls no loss function of torch, and no known one is written by hand"
    ]


def weighted(weights):
    return Plain(mlp(4, 4), nn.CrossEntropyLoss(weight=torch.as_tensor(weights).float()))


@pytest.mark.parametrize("weights", [COUNTS / 400, COUNTS.sqrt(), torch.tensor([4.0, 3, 2, 1])])
def test_weights_that_rise_with_frequency_are_found(weights):
    assert found(weighted(weights), rows(X, CLASS, batch_size=40), class_weights) == [
        ("class weights inverted", "warn")
    ]


@pytest.mark.parametrize("weights", [1 / COUNTS, 1 / COUNTS.sqrt(), [1, 1, 1, 1], [1, 5, 1, 1]])
def test_weights_for_rare_classes_are_in_order(weights):
    assert found(weighted(weights), rows(X, CLASS, batch_size=40), class_weights) == []


def test_balanced_classes_may_have_any_weights():
    model = weighted([4, 3, 2, 1])
    assert found(model, rows(X, torch.arange(400) % 4, batch_size=40), class_weights) == []


@pytest.mark.parametrize(("weight", "inverted"), [(1 / 9, True), (9.0, False), (1.0, False), (0.5, False)])
def test_the_weight_of_positives(weight, inverted):
    """10 % are positive: 9 is right, 1/9 is upside down, 0.5 may be meant."""
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weight))
    kinds = found(Plain(mlp(4, 1), loss), rows(X, RARE, batch_size=40), class_weights)
    assert kinds == ([("class weights inverted", "warn")] if inverted else [])


def test_each_label_has_its_own_weight():
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 1 / 9]))
    labels = torch.cat([(X[:, :1] > 0).float(), RARE], 1)
    assert found(Plain(mlp(4, 2), loss), rows(X, labels, batch_size=40), class_weights)
