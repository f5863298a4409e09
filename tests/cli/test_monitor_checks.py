"""Which metrics a run may wait for, and in which direction."""

import warnings
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint

import lit_models
from callbacks import GradientMonitor
from cli.monitor_checks import check_logged, logs_itself, nearest, warn_of_direction
from lit_models import LitMLP
from runtime.direction import direction
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


class FromElsewhere(LitMLP):
    pass


def callback(package: str) -> pl.Callback:
    """A callback of a class that comes from this package."""
    return type("Own", (pl.Callback,), {"__module__": package})()


def callbacks_of_ours() -> list[pl.Callback]:
    return [GradientMonitor(), EarlyStopping("val/loss"), ModelCheckpoint(), callback("sweeps.pruning")]


@pytest.mark.parametrize("metric", ["val/loss", "val/accuracy", "train/loss"])
def test_a_metric_that_comes(metric: str) -> None:
    check_logged(metric, LitMLP(**ARGUMENTS), callbacks_of_ours())


def test_the_figure_of_one_class_may_be_waited_for() -> None:
    model = LitMLP(
        **ARGUMENTS,
        out_features=3,
        task="multiclass",
        metrics={"CohenKappa": {}, "F1Score": {"average": "none"}},
    )
    check_logged("val/f1_score/B-PER", model, callbacks_of_ours())
    assert direction("val/f1_score/a loss", model) == "max"
    with pytest.raises(UsageError, match="is not measured"):
        check_logged("val/recall/B-PER", model, callbacks_of_ours())


@pytest.mark.parametrize("metric", ["train/anything", "f1", "lr-Adam"])
@pytest.mark.parametrize("logs", ["a model", "a callback", "Lightning's callback"])
def test_a_metric_that_another_class_may_log(metric: str, logs: str) -> None:
    model = (FromElsewhere if logs == "a model" else LitMLP)(**ARGUMENTS)
    more = {"a callback": [callback("own")], "Lightning's callback": [LearningRateMonitor()]}.get(logs, [])
    check_logged(metric, model, [*callbacks_of_ours(), *more])


@pytest.mark.parametrize(
    "metric", ["f1", "acc", "val_acc", "train/los", "train/accuracy", "grad_norm_total", "lr-Adam"]
)
def test_a_metric_that_nothing_here_logs_is_refused_at_once(metric: str) -> None:
    with pytest.raises(UsageError, match=f"--monitor {metric} is not measured; "):
        check_logged(metric, LitMLP(**ARGUMENTS), callbacks_of_ours())


@pytest.mark.parametrize("name", [name for name in lit_models.__all__ if name.startswith("Lit")])
def test_no_model_of_this_repository_logs_what_is_not_known(name: str) -> None:
    model = getattr(lit_models, name)
    assert not logs_itself(model.__new__(model))


def test_a_model_that_was_added_here_may_log_anything() -> None:
    own = type("Own", (WithItsOwnTraining,), {"__module__": "lit_models.own"})
    assert logs_itself(own(**ARGUMENTS))


@pytest.mark.parametrize(
    ("metric", "meant"),
    [("val/f1", "val/loss"), ("accuracy", "val/accuracy"), ("val_loss", "val/loss"), ("loss", "val/loss")],
)
def test_a_metric_that_no_validation_brings(metric: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"--monitor {metric} is not measured; did you mean '{meant}'"):
        check_logged(metric, LitMLP(**ARGUMENTS), [callback("own")])


def test_a_model_may_log_metrics_of_its_own() -> None:
    check_logged("val/f1", WithItsOwnMetric(**ARGUMENTS), [])
    check_logged("accuracy", WithItsOwnTraining(**ARGUMENTS), [])
    with pytest.raises(UsageError, match="--monitor val/acc is not measured"):
        check_logged("val/acc", WithItsOwnTraining(**ARGUMENTS), [])


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
