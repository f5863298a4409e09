"""Which metrics a run may wait for, and in which direction."""

import warnings
from typing import Any

import pytest
import torch

from cli.monitor_checks import check_logged, nearest, warn_of_direction
from lit_models import LitMLP
from runtime.errors import UsageError

ARGUMENTS: dict[str, Any] = {"in_shape": [2], "hidden_sizes": [2]}


class WithItsOwnMetric(LitMLP):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        self.log("val/f1", 0.5)


class WithItsOwnTraining(LitMLP):
    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.log("accuracy", 0.5)
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(
    "metric", ["val/loss", "val/accuracy", "train/anything", "train/loss", "f1", "grad_norm_total"]
)
def test_a_metric_that_may_come(metric: str) -> None:
    check_logged(metric, LitMLP(**ARGUMENTS))


@pytest.mark.parametrize(
    ("metric", "meant"),
    [("val/f1", "val/loss"), ("accuracy", "val/accuracy"), ("val_loss", "val/loss"), ("loss", "val/loss")],
)
def test_a_metric_that_no_validation_brings(metric: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"--monitor {metric} is not measured; did you mean '{meant}'"):
        check_logged(metric, LitMLP(**ARGUMENTS))


def test_a_model_may_log_metrics_of_its_own() -> None:
    check_logged("val/f1", WithItsOwnMetric(**ARGUMENTS))
    check_logged("accuracy", WithItsOwnTraining(**ARGUMENTS))
    with pytest.raises(UsageError, match="--monitor val/acc is not measured"):
        check_logged("val/acc", WithItsOwnTraining(**ARGUMENTS))


def test_a_metric_of_the_validation_is_meant_rather_than_one_of_the_training() -> None:
    logged = ["train_loss", "val_loss/dataloader_idx_0", "val_loss/dataloader_idx_1"]
    assert nearest("val_loss", logged[1:], logged) == (
        "there are several validation loaders: take one of val_loss/dataloader_idx_0, val_loss/dataloader_idx_1"
    )
    assert nearest("valid_loss", ["val_loss"], ["train_loss", "val_loss"]) == "did you mean 'val_loss'?"
    assert nearest("train_los", ["accuracy"], ["train_loss", "accuracy"]) == "did you mean 'train_loss'?"


@pytest.mark.parametrize(("metric", "mode"), [("val/accuracy", "min"), ("val_loss", "max")])
def test_a_callback_that_waits_in_the_wrong_direction_is_named(metric: str, mode: str) -> None:
    with pytest.warns(
        UserWarning, match=f"EarlyStopping follows {metric} with mode {mode}, but its best value"
    ):
        warn_of_direction("EarlyStopping", metric, mode, LitMLP(**ARGUMENTS))


@pytest.mark.parametrize(("metric", "mode"), [("val/accuracy", "max"), ("val/elbo", "min"), ("loss", None)])
def test_no_warning_where_the_direction_is_right_or_unknown(metric: str, mode: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_direction("EarlyStopping", metric, mode, LitMLP(**ARGUMENTS))
