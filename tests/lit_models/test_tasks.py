"""Losses, predictions and metrics of each task, against torch, scikit-learn and arithmetic by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics as sk

from lit_models.tasks import Binary, Multiclass, Reconstruction, Regression, make_task


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
    accuracy.update(task.predict(logits)["prediction"], task.truth(target))
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


@pytest.mark.parametrize(
    ("name", "out_features", "message"),
    [
        ("binary", 2, "one logit, not out_features=2"),
        ("multiclass", 1, "at least 2"),
        ("clustering", 1, "must be one of binary, multiclass, regression, reconstruction"),
    ],
)
def test_wrong_task(name: str, out_features: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(name, out_features, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("smoothing", [-0.1, 1.5])
def test_label_smoothing_is_a_share(smoothing: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        make_task("multiclass", 3, 0.0, 1.0, smoothing)
