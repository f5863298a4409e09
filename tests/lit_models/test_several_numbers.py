"""Metrics with a number for each class, terms of a loss, and what cannot be logged."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor
from torchmetrics import MeanAbsoluteError, Metric

from lit_models import LitLinear
from lit_models.metrics import measured, names_in, new_metrics, single_numbers, update_metrics
from lit_models.task import Task
from lit_models.task_choice import make_task
from tests.lit_models.cases import make_loader, make_trainer

CLASSES = ("road", "B-PER", "manhole cover")


class Extremes(Metric):
    """A metric with a mapping of two numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("seen", [], dist_reduce_fx="cat")

    def update(self, probability: Tensor, truth: Tensor) -> None:
        self.seen.append(probability.flatten())

    def compute(self) -> dict[str, Tensor]:
        seen = torch.cat(self.seen)
        return {"low": seen.min(), "high": seen.max()}


def values(names: Any, classes: Any) -> tuple[dict[str, Tensor], np.ndarray, np.ndarray]:
    """What is logged of 90 rows, with their truth and prediction."""
    generator = np.random.default_rng(0)
    target, logits = generator.integers(0, 3, 90), generator.normal(size=(90, 3))
    task = make_task("multiclass", out_features=3)
    metrics = new_metrics(names, task)
    update_metrics(metrics, task, torch.from_numpy(logits), torch.from_numpy(target))
    data = SimpleNamespace(class_names=classes)
    return measured(metrics, names_in(data)), target, logits.argmax(1)


def test_one_figure_for_each_class() -> None:
    found, truth, predicted = values(
        {"F1Score": {"average": "none"}, "JaccardIndex": {"average": None}}, CLASSES
    )
    assert list(found) == [
        f"{name}/{part}"
        for name in ("f1_score", "jaccard_index")
        for part in ("road", "B-PER", "manhole_cover")
    ]
    numbers = [value.item() for value in found.values()]
    assert numbers[:3] == pytest.approx(sk.f1_score(truth, predicted, average=None))
    assert numbers[3:] == pytest.approx(sk.jaccard_score(truth, predicted, average=None))


@pytest.mark.parametrize("classes", [(), ("a", "b"), ("a", "a", "b")])
def test_classes_without_a_name_of_their_own_are_numbered(classes: Any) -> None:
    found, *_ = values({"F1Score": {"average": "none"}}, classes)
    assert list(found) == ["f1_score/0", "f1_score/1", "f1_score/2"]


def test_a_mapping_of_numbers() -> None:
    found, *_ = values([f"{__name__}.Extremes"], CLASSES)
    assert list(found) == ["extremes/low", "extremes/high"]
    assert found["extremes/low"] < found["extremes/high"]


def test_several_outputs_are_named_after_the_targets() -> None:
    names = names_in(SimpleNamespace(target_name=("height", "weight")))
    assert single_numbers("mse", torch.tensor([1.0, 4.0]), names) == {"mse/height": 1.0, "mse/weight": 4.0}


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (["ConfusionMatrix"], r"\[3, 3\]"),
        ({"PrecisionRecallCurve": {"thresholds": 5}}, "a tuple"),
    ],
)
def test_matrices_and_curves_are_refused_at_once(names: Any, form: str) -> None:
    with pytest.raises(ValueError, match=f"is .*{form}, but only a number"):
        new_metrics(names, make_task("multiclass", out_features=3))


@pytest.mark.parametrize(
    ("name", "hint"),
    [("Dice", "F1Score is the same"), ("mIoU", "JaccardIndex is the same"), ("DiceCoef", "F1Score")],
)
def test_other_names_of_the_same_metric(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        new_metrics([name], make_task("multiclass", out_features=3))


def test_a_binary_mask_has_its_dice() -> None:
    with pytest.raises(ValueError, match=r"has no BinaryDiceScore.*F1Score is the same"):
        new_metrics(["DiceScore"], make_task("binary", out_features=1))


class TwoTerms(Task):
    """A loss of two terms."""

    def loss(self, logits: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        return sum(self.terms(logits, target).values(), torch.zeros(()))

    def terms(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        distance = logits[:, 0] - target
        return {"distance": distance.abs().mean(), "size": 0.1 * logits.square().mean()}

    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        return {"prediction": logits[:, 0]}

    def metrics(self) -> dict[str, Metric]:
        return {"mae": MeanAbsoluteError()}


class Unnamed(TwoTerms):
    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        return {"count": logits[:, 0]}


def test_terms_of_a_loss_are_logged(tmp_path: Path) -> None:
    model = LitLinear(in_shape=[5], task=f"{__name__}.TwoTerms")
    trainer = make_trainer(tmp_path, log_every_n_steps=1)
    loader = make_loader("mlp-regression")
    trainer.fit(model, loader, loader)
    found = trainer.callback_metrics
    for stage in ("train", "val"):
        total = found[f"{stage}/distance"] + found[f"{stage}/size"]
        assert total.item() == pytest.approx(found[f"{stage}/loss"].item())
    assert found["val/distance"].item() == pytest.approx(found["val/mae"].item())


def test_a_task_without_prediction_is_named(tmp_path: Path) -> None:
    model = LitLinear(in_shape=[5], task=f"{__name__}.Unnamed")
    with pytest.raises(ValueError, match=r"Unnamed.predict returns count, but no `prediction`.*for_metrics"):
        make_trainer(tmp_path).validate(model, make_loader("mlp-regression"), verbose=False)
