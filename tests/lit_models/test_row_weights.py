"""Weights of rows and positions in the loss, and the loss of a whole split: against scikit-learn and plain PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics as sk
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lit_models import LitAutoencoder, LitLinear, LitMLP, LitModel, LitRNN
from lit_models.task_choice import make_task
from lit_models.tasks import Task
from tests.lit_models.cases import CASES, make, make_batch, make_trainer

G = torch.Generator().manual_seed(0)
WEIGHTS = torch.rand(50, generator=G, dtype=torch.float64) * 3


def weighted(task: Task, logits: Tensor, target: Tensor, weight: Tensor) -> float:
    return task.mean_and_weight(logits, target, weight)[0].item()


def test_rows_of_two_classes_as_in_scikit_learn() -> None:
    logits = torch.randn(50, 1, generator=G, dtype=torch.float64)
    target = torch.randint(2, (50,), generator=G)
    expected = sk.log_loss(target, logits[:, 0].sigmoid(), sample_weight=WEIGHTS)
    assert weighted(make_task("binary", out_features=1), logits, target, WEIGHTS) == pytest.approx(expected)
    loss = make_task("binary", out_features=1, pos_weight=3.0)
    both = np.average(
        sk_losses(logits[:, 0], target) * np.where(target == 1, 3.0, 1.0), weights=WEIGHTS.numpy()
    )
    assert weighted(loss, logits, target, WEIGHTS) == pytest.approx(both)


def sk_losses(logits: Tensor, target: Tensor) -> np.ndarray:
    return np.log1p(np.exp(logits.numpy())) - target.numpy() * logits.numpy()


def test_rows_of_several_classes_as_in_scikit_learn() -> None:
    logits = torch.randn(50, 3, generator=G, dtype=torch.float64)
    target, factors = torch.arange(50) % 3, torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    plain, probability = make_task("multiclass", out_features=3), logits.softmax(1)
    assert weighted(plain, logits, target, WEIGHTS) == pytest.approx(
        sk.log_loss(target, probability, sample_weight=WEIGHTS)
    )
    task = make_task("multiclass", out_features=3, class_weights=[1.0, 2.0, 5.0]).double()
    assert weighted(task, logits, target, WEIGHTS) == pytest.approx(
        sk.log_loss(target, probability, sample_weight=WEIGHTS * factors[target])
    )


@pytest.mark.parametrize("per_position", [False, True])
def test_positions(per_position: bool) -> None:
    logits = torch.randn(50, 4, 6, generator=G, dtype=torch.float64)
    target = torch.randint(4, (50, 6), generator=G)
    target[:, 4:] = -100
    weight = torch.rand(50, 6, generator=G, dtype=torch.float64) if per_position else WEIGHTS
    each = weight if per_position else weight[:, None].expand(50, 6)
    kept = target >= 0
    expected = sk.log_loss(target[kept], logits.softmax(1).movedim(1, -1)[kept], sample_weight=each[kept])
    task = make_task("multiclass", out_features=4)
    assert weighted(task, logits, target, weight) == pytest.approx(expected)
    assert weighted(task, logits, target, torch.ones(50)) == pytest.approx(task.loss(logits, target).item())


def test_several_labels_and_several_numbers() -> None:
    logits = torch.randn(50, 4, generator=G, dtype=torch.float64)
    labels = torch.randint(2, (50, 4), generator=G)
    expected = np.average(sk_losses(logits, labels).mean(1), weights=WEIGHTS.numpy())
    assert weighted(make_task("multilabel", out_features=4), logits, labels, WEIGHTS) == pytest.approx(
        expected
    )
    truth = torch.randn(50, 4, generator=G, dtype=torch.float64)
    expected = sk.mean_squared_error(truth, logits, sample_weight=WEIGHTS)
    assert weighted(make_task("regression", out_features=4), logits, truth, WEIGHTS) == pytest.approx(
        expected
    )
    assert weighted(make_task("reconstruction"), logits, truth, WEIGHTS) == pytest.approx(expected)


def test_yes_and_no_leave_rows_out() -> None:
    logits, target = torch.randn(50, 3, generator=G), torch.arange(50) % 3
    task, kept = make_task("multiclass", out_features=3), torch.arange(50) < 20
    assert weighted(task, logits, target, kept) == pytest.approx(task.loss(logits[:20], target[:20]).item())
    assert weighted(task, logits, target, kept & False) == 0


class OwnLoss(Task):
    """Written before rows could have weights."""

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(logits, target)

    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        return {"prediction": logits}

    def metrics(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("task", "weight", "message"),
    [
        (make_task("regression"), torch.ones(50, 1), r"shape \[50, 1\] for losses \[50\]"),
        (make_task("regression"), torch.ones(49), r"shape \[49\] for losses \[50\]"),
        (make_task("regression"), torch.ones(50, dtype=torch.long), "integers"),
        (OwnLoss(), torch.ones(50), "OwnLoss.loss has no argument `reduction`"),
    ],
)
def test_weights_that_cannot_be_meant(task: Task, weight: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task.mean_and_weight(torch.randn(50), torch.randn(50), weight)


def test_a_batch_with_too_many_parts() -> None:
    x = torch.randn(4, 5)
    with pytest.raises(ValueError, match="a list of 4; let its method `unpack` say"):
        LitLinear(in_shape=[5]).training_step([x, x, x, x], 0)


@pytest.mark.parametrize(
    "case", ["linear-binary", "mlp-image", "mlp-regression", "autoencoder-conv", "rnn-gru"]
)
def test_gradients_equal_those_of_plain_pytorch(case: str, tmp_path: Path) -> None:
    model, (x, y) = make(case), make_batch(case)
    weight = torch.rand(len(x), generator=G)
    task = CASES[case][1]["task"]
    loss: Any = {"binary": nn.BCEWithLogitsLoss, "multiclass": nn.CrossEntropyLoss, "regression": nn.MSELoss}[
        task
    ]
    losses = loss(reduction="none")
    if isinstance(model, LitAutoencoder):
        losses, y_plain = nn.MSELoss(reduction="none"), x
    else:
        y_plain = y.float() if task == "binary" else y
    logits = model(x)
    each = losses(logits if logits.ndim > 2 or task == "multiclass" else logits[:, 0], y_plain)
    expected = (each.flatten(1).mean(1) if each.ndim > 1 else each) @ weight / weight.sum()
    by_hand = torch.autograd.grad(expected, list(model.parameters()))
    model.is_logged_step = lambda: False
    model.training_step((x, y, weight), 0).backward()
    for parameter, gradient in zip(model.parameters(), by_hand, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize("case", ["rnn-gru", "autoencoder-dense"])
def test_own_evaluations_weigh_rows(case: str) -> None:
    model, (x, y) = make(case), make_batch(case)
    weight = torch.tensor([1.0, *[0.0] * (len(x) - 1)])
    model.update_metrics(model.val_metrics, (x, y, weight))
    first = make(case)
    first.update_metrics(first.val_metrics, (x[:1], y[:1]))
    assert model.val_metrics["loss"].compute().item() == pytest.approx(
        first.val_metrics["loss"].compute().item()
    )
    assert isinstance(model, LitRNN | LitAutoencoder)


class Tokens(LitModel):
    """Logits (N, T, K) of tokens (N, T)."""

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.table = nn.Embedding(self.out_features, self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.table(x)


def tokens(num_rows: int = 40) -> tuple[Tensor, Tensor]:
    """Texts of very different lengths; the last two have no target at all."""
    x = torch.randint(5, (num_rows, 9), generator=G)
    lengths = torch.cat([torch.randint(1, 10, (num_rows - 2,), generator=G), torch.zeros(2).long()])
    return x, x.roll(-1, 1).masked_fill(torch.arange(9) >= lengths[:, None], -100)


@pytest.mark.parametrize("options", [{}, {"class_weights": [1.0, 4.0, 1.0, 1.0, 9.0]}])
@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_the_loss_of_an_evaluation_is_that_of_all_positions(
    options: dict[str, Any], batch_size: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = Tokens(in_shape=[9], out_features=5, task="multiclass", metrics=["Perplexity"], **options)
    x, y = tokens()
    trainer = make_trainer(tmp_path)
    trainer.validate(model, DataLoader(TensorDataset(x, y), batch_size=batch_size), verbose=False)
    weight = torch.tensor(options["class_weights"]) if options else None
    with torch.no_grad():
        logits = model.table(x).movedim(-1, 1)
        assert trainer.callback_metrics["val/loss"].item() == pytest.approx(
            F.cross_entropy(logits, y, weight).item(), rel=1e-5
        )
        perplexity = F.cross_entropy(logits, y).exp().item()
    assert trainer.callback_metrics["val/perplexity"].item() == pytest.approx(perplexity, rel=1e-5)


@pytest.mark.parametrize("batch_size", [3, 50])
def test_the_loss_of_an_evaluation_has_the_weights_of_rows(batch_size: int, tmp_path: Path) -> None:
    x, y = torch.randn(50, 5, generator=G), torch.randint(2, (50,), generator=G)
    model = LitMLP(in_shape=[5], out_features=1, task="binary", hidden_sizes=[4], pos_weight=2.0)
    trainer, data = make_trainer(tmp_path), TensorDataset(x, y, WEIGHTS)
    trainer.test(model, DataLoader(data, batch_size=batch_size), verbose=False)
    with torch.no_grad():
        logits = model(x)[:, 0].double()
    losses = F.binary_cross_entropy_with_logits(
        logits, y.double(), pos_weight=torch.tensor(2.0), reduction="none"
    )
    expected = np.average(losses.numpy(), weights=WEIGHTS.numpy())
    assert trainer.callback_metrics["test/loss"].item() == pytest.approx(expected, rel=1e-5)
    right = ((logits > 0) == y).double().mean().item()
    assert trainer.callback_metrics["test/accuracy"].item() == pytest.approx(right)
