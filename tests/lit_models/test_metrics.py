"""Metrics by name, against scikit-learn; and what a model logs that has evaluation steps of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from datamodules import ToyDataModule
from lit_models import LitLinear, LitMLP
from lit_models.metrics import new_metrics, snake_case
from lit_models.task_choice import make_task
from tests.lit_models.cases import make, make_batch, make_loader, make_trainer


def measured(
    task_name: str, names: Any, logits: np.ndarray, target: np.ndarray, size: int = 7
) -> dict[str, float]:
    """The metrics of outputs that come in batches of `size` rows."""
    task = make_task(task_name, out_features=logits.shape[1])
    metrics = new_metrics(names, task)
    batches = [torch.from_numpy(array).split(size) for array in (logits, target)]
    for batch in zip(*batches, strict=True):
        for metric in metrics.values():
            metric.update(*task.for_metrics(*batch))
    return {name: metric.compute().item() for name, metric in metrics.items()}


def test_binary_ranking_gets_probabilities() -> None:
    generator = np.random.default_rng(0)
    target = generator.integers(0, 2, 100)
    logits = (target + generator.normal(size=100))[:, None]  # all above 0: as labels they would rank nothing
    logits = logits - logits.min() + 0.1
    values = measured("binary", ["AUROC", "AveragePrecision", "F1Score"], logits, target)
    assert values["auroc"] == pytest.approx(sk.roc_auc_score(target, logits[:, 0]))
    assert values["average_precision"] == pytest.approx(sk.average_precision_score(target, logits[:, 0]))
    assert values["f1_score"] == pytest.approx(sk.f1_score(target, logits[:, 0] > 0))


def test_multiclass_with_arguments() -> None:
    generator = np.random.default_rng(0)
    target, logits = generator.integers(0, 3, 90), generator.normal(size=(90, 3))
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    names = {"F1Score": {"average": "macro"}, "AUROC": {}, "Accuracy": {"top_k": 2, "average": "micro"}}
    values = measured("multiclass", names, logits, target)
    assert values["f1_score"] == pytest.approx(sk.f1_score(target, logits.argmax(1), average="macro"))
    assert values["auroc"] == pytest.approx(
        sk.roc_auc_score(target, probability, multi_class="ovr"), abs=1e-6
    )
    assert values["accuracy"] == pytest.approx(sk.top_k_accuracy_score(target, logits, k=2))


def test_segmentation_by_jaccard_index() -> None:
    generator = np.random.default_rng(0)
    target, logits = generator.integers(0, 3, (20, 4, 4)), generator.normal(size=(20, 3, 4, 4))
    values = measured("multiclass", ["JaccardIndex"], logits, target)
    by_hand = sk.jaccard_score(target.ravel(), logits.argmax(1).ravel(), average="macro")
    assert values["jaccard_index"] == pytest.approx(by_hand)


def test_multilabel_and_regression() -> None:
    generator = np.random.default_rng(0)
    target, logits = generator.integers(0, 2, (80, 4)), generator.normal(size=(80, 4))
    values = measured("multilabel", ["AUROC"], logits, target)
    assert values["auroc"] == pytest.approx(sk.roc_auc_score(target, logits))
    truth = generator.normal(size=80)
    values = measured("regression", ["SpearmanCorrCoef"], truth[:, None] + logits[:, :1], truth)
    ranks = [np.argsort(np.argsort(each)) for each in (truth, truth + logits[:, 0])]
    assert values["spearman_corr_coef"] == pytest.approx(np.corrcoef(*ranks)[0, 1])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["F1score"], "did you mean 'F1Score'"),
        (["Zebra"], "has no MulticlassZebra"),
        ({"F1Score": {"averages": "macro"}}, "MulticlassF1Score: .*averages"),
        ({"F1Score": {"average": "mean"}}, "MulticlassF1Score: .*average"),
    ],
)
def test_names_and_arguments_that_do_not_exist(names: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        new_metrics(names, make_task("multiclass", out_features=3))


@pytest.mark.parametrize(
    ("name", "logged"),
    [("F1Score", "f1_score"), ("AUROC", "auroc"), ("AveragePrecision", "average_precision")],
)
def test_names_in_the_log(name: str, logged: str) -> None:
    assert snake_case(name) == logged


def test_metrics_of_a_model_are_logged(tmp_path: Path) -> None:
    model = make("mlp-image", metrics=["F1Score"])
    trainer = make_trainer(tmp_path)
    trainer.validate(model, make_loader("mlp-image"), verbose=False)
    x, y = make_batch("mlp-image", 12)
    with torch.no_grad():
        predicted = model(x).argmax(1)
    f1 = sk.f1_score(y, predicted, average="macro", labels=[0, 1, 2], zero_division=0)
    assert trainer.callback_metrics["val/f1_score"].item() == pytest.approx(f1)


class OwnValidation(LitMLP):
    """Logs a validation loss of its own; the metrics of the base class are never updated."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", torch.tensor(0.25))


def test_metrics_that_were_never_updated_are_not_logged(tmp_path: Path) -> None:
    model = OwnValidation(in_shape=[1, 8, 8], out_features=3, task="multiclass")
    trainer = make_trainer(tmp_path)
    trainer.validate(model, make_loader("mlp-image"), verbose=False)
    assert {name: value.item() for name, value in trainer.callback_metrics.items()} == {"val/loss": 0.25}


def test_a_target_of_shape_n_1_does_not_broadcast(tmp_path: Path) -> None:
    x, y = torch.randn(30, 5), torch.randn(30, 1)
    model = LitLinear(in_shape=[5], out_features=1, task="regression")
    model.update_metrics(model.val_metrics, (x, y))
    with torch.no_grad():
        by_hand = (model(x) - y).square().mean().item()
    assert model.val_metrics["mse"].compute().item() == pytest.approx(by_hand)


def test_balanced_weights_come_from_the_training_split(tmp_path: Path) -> None:
    data = ToyDataModule(name="blobs")
    data.setup("fit")
    counts = torch.bincount(data.splits["train"][1])
    model = LitMLP(in_shape=[2], out_features=4, task="multiclass", class_weights="balanced")
    make_trainer(tmp_path, max_steps=1).fit(model, data)
    assert model.task.state_dict()["class_weights"].tolist() == pytest.approx(
        (counts.sum() / (4 * counts)).tolist()
    )


def test_balanced_weights_without_counts(tmp_path: Path) -> None:
    model = make("mlp-image", class_weights="balanced")
    with pytest.raises(ValueError, match="class_counts"):
        make_trainer(tmp_path).fit(model, make_loader("mlp-image"))
