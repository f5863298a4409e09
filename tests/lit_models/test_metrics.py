"""Metrics by name, against scikit-learn; and what a model logs that has evaluation steps of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics as sk
from torchmetrics import Metric

from datamodules import ToyDataModule
from lit_models import LitLinear, LitMLP
from lit_models.metrics import new_metrics, snake_case, update_metrics
from lit_models.task_choice import make_task
from tests.lit_models.cases import make, make_batch, make_loader, make_trainer


def measured(
    task_name: str, names: Any, logits: np.ndarray, target: np.ndarray, out_features: int = 0
) -> dict[str, float]:
    """The metrics of outputs that come in batches of 7 rows."""
    task = make_task(task_name, out_features=out_features or logits.shape[1])
    metrics = new_metrics(names, task)
    batches = [torch.from_numpy(array).split(7) for array in (logits, target)]
    for batch in zip(*batches, strict=True):
        update_metrics(metrics, task, *batch)
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
    [
        ("F1Score", "f1_score"),
        ("AUROC", "auroc"),
        ("AveragePrecision", "average_precision"),
        ("LogAUC", "log_auc"),
        ("MeanIoU", "mean_iou"),
    ],
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


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_class_counts_may_be_an_array(kind: Any, tmp_path: Path) -> None:
    class Counted(ToyDataModule):
        class_counts = kind([30, 10, 10, 10])

    data = Counted(name="blobs")
    model = LitMLP(in_shape=[2], out_features=4, task="multiclass", class_weights="balanced")
    make_trainer(tmp_path, max_steps=1).fit(model, data)
    assert model.task.state_dict()["class_weights"].tolist() == pytest.approx([0.5, 1.5, 1.5, 1.5])


def test_balanced_weights_without_counts(tmp_path: Path) -> None:
    model = make("mlp-image", class_weights="balanced")
    with pytest.raises(ValueError, match="class_counts"):
        make_trainer(tmp_path).fit(model, make_loader("mlp-image"))


def token_logits() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, K, T) and tokens (N, T), of which each row ignores another number."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(12, 6, 9, generator=generator, dtype=torch.float64)
    target = torch.randint(6, (12, 9), generator=generator)
    return logits, target.masked_fill(torch.arange(9) < torch.arange(12)[:, None] % 9, -100)


@pytest.mark.parametrize("name", ["Perplexity", "torchmetrics.text.Perplexity"])
@pytest.mark.parametrize("classes_last", [False, True])
def test_perplexity_is_that_of_the_tokens_that_count(name: str, classes_last: bool) -> None:
    logits, target = token_logits()
    given = logits.movedim(1, -1) if classes_last else logits
    values = measured("multiclass", [name], given.numpy(), target.numpy(), out_features=6)
    assert values["perplexity"] == pytest.approx(F.cross_entropy(logits, target).exp().item())


def test_perplexity_of_rows_and_of_what_is_almost_impossible() -> None:
    logits, target = np.array([[0.0, 300.0], [0.0, 0.0]]), np.array([0, 1])
    values = measured("multiclass", ["Perplexity"], logits, target)
    assert values["perplexity"] == np.inf  # exp(150) is beyond float32, its mean of two rows is not NaN
    logits = np.array([[0.0, 120.0], *[[0.0, 0.0]] * 9])
    values = measured("multiclass", ["Perplexity"], logits, np.array([0] * 10))
    assert values["perplexity"] == pytest.approx(np.exp((120 + 9 * np.log(2)) / 10), rel=1e-5)


@pytest.mark.parametrize("name", ["MeanIoU", "torchmetrics.segmentation.MeanIoU"])
def test_a_metric_of_segmentation(name: str) -> None:
    generator = np.random.default_rng(0)
    target, logits = generator.integers(0, 3, (20, 4, 4)), generator.normal(size=(20, 3, 4, 4))
    values = measured("multiclass", [name], logits, target)
    shares = [  # of each image and each class, as MeanIoU has it
        sk.jaccard_score(truth.ravel(), found.ravel(), labels=[k], average="macro")
        for truth, found in zip(target, logits.argmax(1), strict=True)
        for k in range(3)
        if k in truth or k in found
    ]
    assert values["mean_iou"] == pytest.approx(np.mean(shares), rel=1e-5)


class Seen(Metric):
    """Keeps what it gets."""

    def __init__(self, scale: float = 1.0, num_classes: int = 0) -> None:
        super().__init__()
        self.scale, self.num_classes = scale, num_classes

    def update(self, given: torch.Tensor, truth: torch.Tensor) -> None:
        self.given, self.truth = given, truth

    def compute(self) -> torch.Tensor:
        return torch.tensor(self.scale)


class SeenLogits(Seen):
    gets = "logits"


def test_a_metric_of_ones_own_says_what_it_gets() -> None:
    task, path = make_task("multiclass", out_features=3), __name__
    names = {f"{path}.Seen": {"scale": 2.0}, f"{path}.SeenLogits": {}}
    logits, target = torch.randn(4, 5, 3), torch.zeros(4, 5, dtype=torch.long)
    metrics: dict[str, Any] = new_metrics(names, task)
    update_metrics(metrics, task, logits, target)
    second = logits.movedim(-1, 1)
    assert metrics["seen"].compute() == 2.0
    assert metrics["seen"].num_classes == 3
    assert torch.equal(metrics["seen"].given, second.softmax(1))
    assert torch.equal(metrics["seen_logits"].given, second)
    metrics = new_metrics({f"{path}.Seen": {"gets": "prediction"}}, task)
    update_metrics(metrics, task, logits, target)
    assert torch.equal(metrics["seen"].given, second.argmax(1))
    assert torch.equal(metrics["seen"].truth, target)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["nowhere.Metric"], "model.metrics: 'nowhere.Metric' cannot be imported"),
        ([f"{__name__}.measured"], "is no Metric"),
        ({"F1Score": {"gets": "labels"}}, "gets is 'labels'; it must be prediction or logits"),
        (["F1Score", "torchmetrics.classification.MulticlassF1Score", "torchmetrics.F1Score"], "two metrics"),
        (["Perplexitty"], "did you mean 'Perplexity'"),
    ],
)
def test_class_paths_that_are_no_metric(names: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        new_metrics(names, make_task("multiclass", out_features=3))


@pytest.mark.parametrize("task", ["binary", "regression", "multilabel"])
def test_perplexity_needs_classes(task: str) -> None:
    with pytest.raises(ValueError, match="Perplexity is one of classes"):
        new_metrics(["Perplexity"], make_task(task, out_features=1))


@pytest.mark.parametrize(
    ("case", "name"), [("autoencoder-conv", "PeakSignalNoiseRatio"), ("rnn-gru", "ExplainedVariance")]
)
def test_models_with_an_evaluation_of_their_own_measure_further_metrics(
    case: str, name: str, tmp_path: Path
) -> None:
    model = make(case, metrics={name: {"data_range": 1.0} if case.startswith("auto") else {}})
    trainer = make_trainer(tmp_path)
    trainer.validate(model, make_loader(case), verbose=False)
    x, y = make_batch(case, 12)
    with torch.no_grad():
        mse = trainer.callback_metrics["val/mse"].item()
        forecast = model.forecast(x, y.shape[1]) if case.startswith("rnn") else None
    expected = (
        -10 * np.log10(mse) if forecast is None else sk.explained_variance_score(y.ravel(), forecast.ravel())
    )
    assert trainer.callback_metrics[f"val/{snake_case(name)}"].item() == pytest.approx(expected, rel=1e-4)
