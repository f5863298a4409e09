"""Weights of classes, given or from the training split, against scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_class_weight

from lit_models.task_choice import make_task
from lit_models.tasks import Binary, Multiclass
from tests.lit_models.test_tasks import dense


def test_class_weights_as_scikit_learn_weighs_rows() -> None:
    logits, target, kept = dense()
    truth, weights = target[target >= 0], torch.tensor([1.0, 2.0, 5.0])
    loss = make_task("multiclass", out_features=3, class_weights=[1.0, 2.0, 5.0]).loss(logits, target)
    by_row = sk.log_loss(
        truth, kept.double().softmax(1), sample_weight=weights[truth].double(), labels=[0, 1, 2]
    )
    assert loss.item() == pytest.approx(by_row)


def test_pos_weight() -> None:
    logits, target = torch.tensor([[0.3], [-1.0]]), torch.tensor([1, 0])
    plain = [Binary().loss(logits[n : n + 1], target[n : n + 1]).item() for n in range(2)]
    weighted = make_task("binary", out_features=1, pos_weight=4.0).loss(logits, target).item()
    assert weighted == pytest.approx((4 * plain[0] + plain[1]) / 2)


def test_weights_do_not_enter_a_checkpoint_unless_given() -> None:
    assert list(Multiclass(3).state_dict()) == []
    assert list(Multiclass(3, class_weights=[1, 1, 2]).state_dict()) == ["class_weights"]


def test_balanced_class_weights_are_those_of_scikit_learn() -> None:
    classes = np.array([0] * 10 + [1] * 30 + [2] * 5)
    task = make_task("multiclass", out_features=3, class_weights="balanced")
    task.balance(np.bincount(classes).tolist())
    expected = compute_class_weight("balanced", classes=np.arange(3), y=classes)
    assert task.state_dict()["class_weights"].tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("name", ["binary", "multilabel"])
def test_balanced_pos_weight_makes_both_classes_count_the_same(name: str) -> None:
    task = make_task(name, out_features=1, pos_weight="balanced")
    task.balance([30, 10])
    logits = torch.zeros(40, 1)
    target = torch.tensor([0] * 30 + [1] * 10)
    loss = task.loss(logits, target[:, None] if name == "multilabel" else target)
    assert loss.item() == pytest.approx((30 + 3.0 * 10) * math.log(2) / 40)
