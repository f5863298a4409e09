"""No better than a constant answer: where Diagnosis says so, and where the comparison would not be fair."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.callbacks.diagnostics.small_trainings import (
    NOISE,
    NOISE_VAL,
    X_VAL,
    G,
    X,
    net,
    problems,
    run,
)


def test_no_better_than_a_constant_answer():
    found = run(data=(X, NOISE), val=(X_VAL, NOISE_VAL), lr=0.01)
    verdict = found["no better than a constant answer"]
    assert verdict.severity == "warn"
    share = NOISE_VAL.float().mean().item()
    assert f"against {max(share, 1 - share):.3f} for always class" in verdict.message
    assert "on 600 rows of the validation" in verdict.message


def test_a_short_training_is_only_told_so():
    found = run(data=(X, NOISE), val=(X_VAL, NOISE_VAL), lr=0.01, steps=40)
    assert not problems(found)
    assert "no better than a constant answer" in found


@pytest.mark.parametrize("answers", [1, 3])
def test_no_better_than_the_mean_of_the_targets(answers):
    y, y_val = (torch.randn(len(x), answers, generator=G) for x in (X, X_VAL))
    found = run(net(0, 8, answers), (X, y), (X_VAL, y_val), F.mse_loss, lr=0.01)
    assert "no better than a constant answer" in problems(found)
    found = run(net(0, 8, answers), (X, X[:, :answers]), (X_VAL, X_VAL[:, :answers]), F.mse_loss)
    assert not problems(found)


def test_binary_cross_entropy():
    def loss(logits, y):
        return F.binary_cross_entropy_with_logits(logits[:, 0], y.float())

    found = run(net(0, 1), (X, NOISE), (X_VAL, NOISE_VAL), loss, lr=0.01)
    assert "no better than a constant answer" in problems(found)
    assert not problems(run(net(0, 8, 1), loss=loss))


def test_rare_classes_whose_probability_is_learned_are_no_alarm():
    """3 % positives: no answer but "negative" is more likely than not, and yet the loss is far below the entropy."""
    y, y_val = (((x[:, 0] > 1.2) & (x[:, 1] > 0.6)).long() for x in (X, X_VAL))
    flip = torch.rand(len(y_val), generator=G) < 0.5
    found = run(net(0, 8, 2), (X, y), (X_VAL, y_val * flip), lr=0.05)
    assert not problems(found)


@pytest.mark.parametrize("weighted", [True, False])
def test_classes_made_equal_on_purpose_are_no_alarm(weighted, capsys):
    """5 % positives, hard to tell: class weights or a balanced training set make the network answer "positive" often."""
    y, y_val = ((x[:, 0] + 2 * torch.randn(len(x), generator=G) > 3.6).long() for x in (X, X_VAL))
    if weighted:
        found = run(
            data=(X, y), val=(X_VAL, y_val), loss=nn.CrossEntropyLoss(weight=torch.tensor([1.0, 19.0]))
        )
    else:
        positives = torch.where(y == 1)[0].repeat(19)
        order = torch.cat([torch.where(y == 0)[0], positives])
        order = order[torch.randperm(len(order), generator=G)]
        found = run(data=(X[order], y[order]), val=(X_VAL, y_val))
    assert ("unweighted loss" in capsys.readouterr().out) == weighted
    assert not problems(found)
    assert "no better than a constant answer" not in found
