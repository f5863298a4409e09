"""Tasks by name and by class path, and what is refused."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torchmetrics import MeanAbsoluteError, Metric

from lit_models.task_choice import TASKS, make_task
from lit_models.tasks import Task


@pytest.mark.parametrize(
    ("name", "out_features", "message"),
    [
        ("binary", 2, "one logit, not out_features=2"),
        ("multiclass", 1, "at least 2"),
        ("clustering", 1, "must be one of binary, multiclass, multilabel, regression, reconstruction"),
    ],
)
def test_wrong_task(name: str, out_features: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(name, out_features=out_features)


@pytest.mark.parametrize("smoothing", [-0.1, 1.5])
def test_label_smoothing_is_a_share(smoothing: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        make_task("multiclass", out_features=3, label_smoothing=smoothing)


class Poisson(Task):
    """A task as someone else would write it."""

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.poisson_nll_loss(logits.squeeze(-1), target)

    def predict(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"prediction": logits.squeeze(-1).exp()}

    def metrics(self) -> dict[str, Metric]:
        return {"mae": MeanAbsoluteError()}


def test_a_task_of_ones_own_by_its_class_path() -> None:
    assert isinstance(make_task(f"{__name__}.Poisson", out_features=1), Poisson)


@pytest.mark.parametrize("path", ["nowhere.Task", f"{__name__}.Missing", f"{__name__}.make_task"])
def test_a_class_path_that_is_no_task(path: str) -> None:
    with pytest.raises(ValueError, match="it must be one of"):
        make_task(path, out_features=1)


def test_every_task_is_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    assert [name for name in TASKS if f"| `{name}`" not in page] == []
