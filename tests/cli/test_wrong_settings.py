"""A library's complaint names the optimizer, scheduler or callback of the config, and only where it is to blame."""

from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BackboneFinetuning, BatchSizeFinder, LearningRateFinder, Timer
from pytorch_lightning.loggers import CometLogger
from torch import nn
from torch.optim import LBFGS, SGD, Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR
from torch.utils.data import DataLoader, TensorDataset

from cli.wrong_settings import wrong_settings


def sgd(**options: float) -> SGD:
    return SGD(nn.Linear(1, 1).parameters(), lr=0.1, **options)


def told(action: Callable[[], object]) -> str:
    """What is said of the error that an action ends with; "" where no setting is to blame."""
    try:
        action()
    except Exception as error:
        return str(wrong_settings(error) or "")
    pytest.fail("nothing went wrong")


def stepped(scheduler: CosineAnnealingLR | StepLR) -> Callable[[], object]:
    scheduler.optimizer.step()
    return scheduler.step


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (stepped(StepLR(sgd(), step_size=0, gamma=0.5)), "the scheduler StepLR(step_size=0, gamma=0.5) does"),
        (stepped(CosineAnnealingLR(sgd(), T_max=0)), "CosineAnnealingLR(T_max=0) does not work: integer"),
        (
            lambda: OneCycleLR(sgd(), max_lr=1.0, total_steps=9, div_factor=0),
            "the scheduler OneCycleLR(max_lr=1.0, total_steps=9, div_factor=0) does not work: float division",
        ),
        (
            lambda: Adam(list(nn.Linear(1, 1).parameters()), betas=(0.5, 0.9), fused=True, foreach=True),
            "the optimizer Adam(betas=(0.5, 0.9), foreach=True, fused=True) does not work: `fused` and",
        ),
        (
            lambda: CometLogger(workspace="mine"),
            "the logger CometLogger(workspace='mine') does not work: Requirement",
        ),
        (lambda: Timer("soon"), "the callback Timer(duration='soon') does not work: "),
    ],
)
def test_settings_that_a_library_cannot_work_with(action: Callable[[], object], message: str) -> None:
    assert message in told(action)


def test_which_number_is_wrong_after_a_division_by_zero() -> None:
    assert told(stepped(StepLR(sgd(), step_size=0))).endswith("zero; one of these must not be 0")


def fail() -> float:
    """A model's code, which an optimizer may call."""
    return 1 / 0


def failing_operation() -> None:
    """Inside the step of an optimizer, as one that runs out of memory would be."""
    optimizer: Optimizer = sgd()
    optimizer.param_groups[0]["weight_decay"] = torch.ones(3)
    for parameter in optimizer.param_groups[0]["params"]:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


@pytest.mark.parametrize(
    "action", [fail, lambda: LBFGS(nn.Linear(1, 1).parameters()).step(fail), failing_operation]
)
def test_what_fails_elsewhere_is_left_as_it_is(action: Callable[[], object]) -> None:
    assert told(action) == ""


class WithoutLayers(pl.LightningModule):
    """A module with none of the attributes that some callbacks ask for."""

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> None: ...

    def configure_optimizers(self) -> None: ...


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (
            LearningRateFinder(),
            "the callback LearningRateFinder does not work here: When using the learning rate",
        ),
        (LearningRateFinder(), "`python train.py tune-lr` with the same flags suggests a rate for any model"),
        (BatchSizeFinder(), "the callback BatchSizeFinder does not work here: The Batch size finder cannot"),
        (BatchSizeFinder(), "`python train.py sweep --vary data.batch_size=32,64,128`"),
        (
            BackboneFinetuning(),
            "the callback BackboneFinetuning() does not work: 'WithoutLayers' object has no att",
        ),
    ],
)
def test_callbacks_that_ask_the_module_for_something(
    callback: pl.Callback, message: str, tmp_path: Path
) -> None:
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(callbacks=[callback], accelerator="cpu", default_root_dir=tmp_path, **quiet)
    loader = DataLoader(TensorDataset(torch.zeros(4, 2)))
    assert message in told(lambda: trainer.fit(WithoutLayers(), loader))
