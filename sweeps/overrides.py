"""What a model or data module changes in the training, which the loop of `bulk_training` does not know."""

import inspect
import random
from collections.abc import Collection
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.seed import isolate_rng

from datamodules.base import TensorDataModule
from lit_models.base import LitModel
from lit_models.task_choice import TASKS

# As paths: a file of another data module may be half edited.
TESTED_DATA = (
    "datamodules.mnist.MNISTDataModule",
    "datamodules.series.SeriesDataModule",
    "datamodules.titanic.TitanicDataModule",
    "datamodules.toy.ToyDataModule",
)
# Of a data module: what the loop calls, or what has no part in training and validation.
DATA_HONORED = {
    *("setup", "prepare_data", "load", "fit_statistics", "prepare_inputs", "state_dict", "load_state_dict"),
    *("spec", "in_features", "target_mean", "target_std", "coefficients_in_table_units"),
    *("test_dataloader", "predict_dataloader"),
}
# Of `LitModel`: what a subclass may change, and the hooks that the loop repeats.
MODEL_HONORED = {"forward", "target", "update_metrics", "predict_step"}
STEPS_REPEATED = {
    *(
        "setup",
        "training_step",
        "validation_step",
        "on_validation_epoch_end",
        "test_step",
        "on_test_epoch_end",
    ),
    *("predict_step", "configure_optimizers", "optimizer_zero_grad"),
}


def own_hook(model: LitModel, data: TensorDataModule) -> str | None:
    """The first method that would change a training with Lightning, but not one in bulk; None if there is none."""
    tested = next(cls for cls in type(data).__mro__ if path_of(cls) in TESTED_DATA or cls is TensorDataModule)
    places: list[tuple[Any, type, Collection[str]]] = [
        (data, tested, DATA_HONORED),
        (model, LitModel, MODEL_HONORED),
        (model, pl.LightningModule, STEPS_REPEATED | MODEL_HONORED),
    ]
    for each, base, honored in places:
        if names := overridden(type(each), base, honored):
            return f"{type(each).__name__} has its own {names[0]}"
    if type(model.task) not in TASKS.values():
        return f"the loss of {type(model.task).__name__}, a task of your own, may be no mean over samples"
    return None


def path_of(cls: type) -> str:
    """Module and name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def overridden(cls: type, base: type, honored: Collection[str]) -> list[str]:
    """Names of methods of `base` that a class has replaced, without the honored ones."""
    return [
        name
        for name in dir(base)
        if not name.startswith("__")
        and name not in honored
        and inspect.getattr_static(cls, name) is not inspect.getattr_static(base, name)
    ]


def draws_at_random(data: TensorDataModule) -> bool:
    """Whether `load` draws from the global random numbers; then each seed trains on other data."""
    if path_of(type(data)) in TESTED_DATA:
        return False
    with isolate_rng():
        before = states()
        data.load()
        return states() != before


def states() -> list[str]:
    """The states of the global generators of Python, NumPy and PyTorch."""
    return [
        repr(state)
        for state in (random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state().tolist())
    ]
