"""Losses, predictions and metrics of each task, against torch, scikit-learn and arithmetic by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics as sk

from lit_models.task_choice import make_task
from lit_models.tasks import Binary, Multiclass, Multilabel, Reconstruction, Regression


@pytest.mark.parametrize(
    ("logit", "target", "expected"),
    [(1000.0, 1, 0.0), (1000.0, 0, 1000.0), (-1000.0, 0, 0.0), (-1000.0, 1, 1000.0), (0.0, 1, math.log(2))],
)
def test_binary_loss_of_extreme_logits_is_exact(logit: float, target: int, expected: float) -> None:
    logits = torch.tensor([[logit]], requires_grad=True)
    loss = Binary().loss(logits, torch.tensor([target]))
    loss.backward()
    assert loss.item() == pytest.approx(expected)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(("right", "expected"), [(0, 0.0), (1, 2000.0)])
def test_multiclass_loss_of_extreme_logits_is_exact(right: int, expected: float) -> None:
    loss = Multiclass(3).loss(torch.tensor([[1000.0, -1000.0, 0.0]]), torch.tensor([right]))
    assert loss.item() == pytest.approx(expected)


def test_losses_equal_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    logits, target = generator.normal(size=(50, 1)), generator.integers(0, 2, 50)
    loss = Binary().loss(torch.from_numpy(logits), torch.from_numpy(target))
    assert loss.item() == pytest.approx(sk.log_loss(target, 1 / (1 + np.exp(-logits[:, 0]))))

    logits, target = generator.normal(size=(50, 4)), generator.integers(0, 4, 50)
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    loss = Multiclass(4).loss(torch.from_numpy(logits), torch.from_numpy(target))
    assert loss.item() == pytest.approx(sk.log_loss(target, probability, labels=[0, 1, 2, 3]))


def test_binary_prediction_is_decided_at_logit_0() -> None:
    columns = Binary().predict(torch.tensor([[-0.1], [0.1], [0.4], [0.6]]))
    assert columns["prediction"].tolist() == [0, 1, 1, 1]
    torch.testing.assert_close(columns["probability"], torch.tensor([-0.1, 0.1, 0.4, 0.6]).sigmoid())


def test_binary_accuracy_is_measured_on_predictions_not_on_logits() -> None:
    task = Binary()
    logits, target = torch.tensor([[0.2], [0.3], [-3.0], [2.0]]), torch.tensor([1, 1, 0, 0])
    accuracy = task.metrics()["accuracy"]
    accuracy.update(*task.for_metrics(logits, target))
    assert accuracy.compute().item() == 0.75


def test_multiclass_predictions_and_accuracy() -> None:
    task = Multiclass(3)
    logits = torch.tensor([[3.0, 1, 0], [0, 2, 1], [0, 1, 5], [1, 0, 0]])
    columns = task.predict(logits)
    assert columns["prediction"].tolist() == [0, 1, 2, 0]
    torch.testing.assert_close(columns["probability"].sum(1), torch.ones(4))
    accuracy = task.metrics()["accuracy"]
    accuracy.update(columns["prediction"], torch.tensor([0, 1, 2, 2]))
    assert accuracy.compute().item() == 0.75


def test_label_smoothing_only_in_training() -> None:
    task, logits, target = Multiclass(3, label_smoothing=0.3), torch.randn(8, 3), torch.arange(8) % 3
    by_hand = 0.7 * F.cross_entropy(logits, target) - 0.3 * logits.log_softmax(1).mean()
    torch.testing.assert_close(task.train().loss(logits, target), by_hand)
    torch.testing.assert_close(task.eval().loss(logits, target), F.cross_entropy(logits, target))


def test_regression_loss_is_normalized_and_metrics_are_in_units() -> None:
    """A network that is off by one deviation of 4 years is off by 4 years."""
    task = Regression(target_mean=30.0, target_std=4.0)
    logits, target = torch.tensor([[1.0], [2.0], [-1.0]]), torch.tensor([0.0, 2.0, -1.0])
    assert task.loss(logits, target).item() == pytest.approx(1 / 3)
    prediction, truth = task.predict(logits)["prediction"], task.truth(target)
    assert prediction.tolist() == [34.0, 38.0, 26.0]
    assert truth.tolist() == [30.0, 38.0, 26.0]
    values = {name: metric(prediction, truth).item() for name, metric in task.metrics().items()}
    arrays = (truth.numpy(), prediction.numpy())
    assert values == pytest.approx(
        {
            "mse": sk.mean_squared_error(*arrays),
            "mae": sk.mean_absolute_error(*arrays),
            "r2": sk.r2_score(*arrays),
        }
    )


def test_regression_loss_does_not_broadcast() -> None:
    """(N, 1) against (N,) must not become (N, N)."""
    target = torch.randn(16)
    assert Regression().loss(target[:, None], target).item() == 0


def test_units_of_a_regression_travel_with_the_weights() -> None:
    restored = Regression()
    restored.load_state_dict(Regression(30.0, 4.0).state_dict())
    assert restored.predict(torch.ones(1, 1))["prediction"].item() == 34.0


def test_reconstruction_is_the_mean_over_pixels() -> None:
    task, image, restored = Reconstruction(), torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
    assert task.loss(restored, image).item() == pytest.approx(((restored - image) ** 2).mean().item())
    assert task.metrics()["mse"](restored.flatten(), image.flatten()).item() == pytest.approx(
        task.loss(restored, image).item()
    )


def dense(num_classes: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (N, K, H, W) of pixels, their targets (N, H, W) with ignored ones, and the K logits of each kept pixel."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, num_classes, 5, 6, generator=generator)
    target = torch.randint(num_classes, (4, 5, 6), generator=generator)
    target[:, 0] = -100
    return logits, target, logits.permute(0, 2, 3, 1)[target >= 0]


@pytest.mark.parametrize("classes_last", [False, True])
def test_a_class_for_each_pixel_or_token(classes_last: bool) -> None:
    logits, target, kept = dense()
    task = Multiclass(3)
    given = logits.permute(0, 2, 3, 1) if classes_last else logits
    truth = target[target >= 0].numpy()
    loss = sk.log_loss(truth, kept.double().softmax(1).numpy(), labels=[0, 1, 2])
    assert task.loss(given, target).item() == pytest.approx(loss)
    columns = task.predict(given)
    assert columns["prediction"].shape == target.shape
    assert columns["probability"].shape == logits.shape
    accuracy = task.metrics()["accuracy"]
    accuracy.update(*task.for_metrics(given, target))
    assert accuracy.compute().item() == pytest.approx(sk.accuracy_score(truth, kept.argmax(1).numpy()))


@pytest.mark.parametrize("shape", [(4, 7), (4, 3, 5), (4, 7, 5, 6)])
def test_logits_without_a_target_for_each_position(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"returns \[4, .*needs logits \(N, K, ...\)"):
        Multiclass(3).loss(torch.randn(shape), torch.zeros(4, 5, 6, dtype=torch.long))


def test_several_labels() -> None:
    generator = np.random.default_rng(0)
    logits, target = generator.normal(size=(60, 5)), generator.integers(0, 2, (60, 5))
    task = make_task("multilabel", out_features=5)
    assert isinstance(task, Multilabel)
    given = torch.from_numpy(logits), torch.from_numpy(target)
    by_hand = np.mean(np.log1p(np.exp(logits)) - target * logits)
    assert task.loss(*given).item() == pytest.approx(by_hand)
    accuracy = task.metrics()["accuracy"]
    accuracy.update(*task.for_metrics(*given))
    assert accuracy.compute().item() == pytest.approx(np.mean((logits > 0) == target))


def test_r2_of_several_outputs_is_that_of_each_column() -> None:
    """Noise around 0, 100 and 1000 is not explained by knowing the three means."""
    generator = np.random.default_rng(0)
    means = np.array([0.0, 100.0, 1000.0])
    truth, prediction = (means + generator.normal(size=(200, 3)) for _ in range(2))
    task = make_task("regression", out_features=3)
    metrics = task.metrics()
    for metric in metrics.values():
        metric.update(*task.for_metrics(torch.from_numpy(prediction), torch.from_numpy(truth)))
    values = {name: metric.compute().tolist() for name, metric in metrics.items()}
    assert values["r2"] == pytest.approx(sk.r2_score(truth, prediction), rel=1e-4)
    assert values["r2"] < 0
    assert values["mse"] == pytest.approx(sk.mean_squared_error(truth, prediction), rel=1e-4)
    each = sk.mean_absolute_error(truth, prediction, multioutput="raw_values")
    assert values["mae_by_output"] == pytest.approx(each.tolist(), rel=1e-4)


@pytest.mark.parametrize("flat", [False, True])
def test_each_series_has_its_own_units_and_r2(flat: bool) -> None:
    """Four steps of three series of noise; a network returns them as (N, 4, 3), or flat."""
    generator = torch.Generator().manual_seed(0)
    mean, std = torch.tensor([0.0, 100.0, 4000.0]), torch.tensor([1.0, 10.0, 500.0])
    logits, target = torch.randn(2, 200, 4, 3, generator=generator)
    task = make_task("regression", out_features=12, target_mean=mean.tolist(), target_std=std.tolist())
    r2 = task.metrics()["r2"]
    r2.update(*task.for_metrics(logits.flatten(1) if flat else logits, target))
    truth, prediction = ((each * std + mean).reshape(-1, 3).numpy() for each in (target, logits))
    assert r2.compute().item() == pytest.approx(sk.r2_score(truth, prediction), rel=1e-4)


def test_each_output_has_its_own_units() -> None:
    task = Regression(target_mean=[0.0, 100.0], target_std=[1.0, 10.0], out_features=2)
    assert task.predict(torch.ones(1, 2))["prediction"].tolist() == [[1.0, 110.0]]


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("binary", {"label_smoothing": 0.1}, "a binary task does not have it"),
        ("regression", {"class_weights": [1.0, 2.0]}, "a regression task does not have it"),
        ("multiclass", {"pos_weight": 2.0}, "a multiclass task does not have it"),
        ("multiclass", {"class_weights": [1.0, 2.0]}, "3 positive numbers"),
        ("multiclass", {"class_weights": [1.0, 2.0, -1.0]}, "3 positive numbers"),
        ("multilabel", {"pos_weight": 0.0}, "positive number"),
    ],
)
def test_options_that_cannot_have_their_effect(task: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(task, out_features=1 if task in ("binary", "regression") else 3, **options)
