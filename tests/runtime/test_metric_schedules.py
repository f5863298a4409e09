"""Schedules that follow a metric, against a loop written by hand in which they step after each validation."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset

from lit_models import LitMLP
from runtime.errors import UsageError
from runtime.loop import use_lean_loop

X = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
Y = X.sum(1)
EPOCHS, STEPS = 6, 4  # of each epoch
RATE = 1.5  # too large, so that the loss does not fall steadily
PLATEAU: dict[str, Any] = {"factor": 0.5, "patience": 0}


def loader(batch_size: int) -> DataLoader[Any]:
    return DataLoader(TensorDataset(X, Y), batch_size)


class Own(LitMLP):
    """One of this project's models."""

    def __init__(self, interval: Any = None) -> None:
        super().__init__(
            in_shape=[2],
            hidden_sizes=[3],
            task="regression",
            optimizer=lambda parameters: torch.optim.SGD(parameters, RATE),
            scheduler=lambda optimizer: ReduceLROnPlateau(optimizer, **PLATEAU),
            scheduler_interval=interval,
        )


class Foreign(pl.LightningModule):
    """A module that says nothing about when its schedule has to wait."""

    def __init__(self, interval: str = "epoch", monitor: str = "val_loss", strict: bool = True) -> None:
        super().__init__()
        self.net = LitMLP(in_shape=[2], hidden_sizes=[3], task="regression")
        self.config = {"interval": interval, "monitor": monitor, "strict": strict}

    def loss(self, batch: list[Tensor]) -> Tensor:
        return nn.functional.mse_loss(self.net(batch[0])[:, 0], batch[1])

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), RATE)
        return [optimizer], [{"scheduler": ReduceLROnPlateau(optimizer, **PLATEAU), **self.config}]


class Rates(pl.Callback):
    """Notes the learning rate of each step."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])


def make(kind: type, **options: Any) -> Any:
    torch.manual_seed(0)
    return kind(**options)


def train(folder: Path, model: Any, **options: Any) -> list[float]:
    """The learning rates of all steps, with the loop that `train.py fit` uses."""
    rates = Rates()
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = pl.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_epochs=EPOCHS,
        callbacks=[rates],
        **{**quiet, **options},
    )
    use_lean_loop(trainer)
    trainer.fit(model, loader(8), loader(32))
    return rates.rates


def by_hand(net: nn.Module, every: int, interval: str) -> list[float]:
    """The same training in plain PyTorch, with a validation after so many steps."""
    optimizer = torch.optim.SGD(net.parameters(), RATE)
    schedule = ReduceLROnPlateau(optimizer, **PLATEAU)
    rates, loss = [], None
    for step in range(1, EPOCHS * STEPS + 1):
        batch = slice(8 * ((step - 1) % STEPS), 8 * ((step - 1) % STEPS) + 8)
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.zero_grad()
        nn.functional.mse_loss(net(X[batch])[:, 0], Y[batch]).backward()
        optimizer.step()
        if step % every == 0:
            with torch.no_grad():
                loss = nn.functional.mse_loss(net(X)[:, 0], Y)
        if loss is not None and (interval == "step" or step % STEPS == 0):
            schedule.step(loss)
            loss = None  # used
    return rates


@pytest.mark.parametrize("kind", [Own, Foreign])
@pytest.mark.parametrize("interval", ["epoch", "step"])
@pytest.mark.parametrize(
    ("every", "options"),
    [
        (STEPS, {}),
        (2 * STEPS, {"check_val_every_n_epoch": 2}),
        (2, {"val_check_interval": 2}),
        (6, {"val_check_interval": 6, "check_val_every_n_epoch": None}),
    ],
    ids=["every epoch", "every second epoch", "twice in an epoch", "across epochs"],
)
def test_it_steps_once_for_each_measurement(
    kind: type, interval: str, every: int, options: dict[str, Any], tmp_path: Path
) -> None:
    expected = by_hand(make(kind).net if kind is Foreign else make(kind), every, interval)
    assert len(set(expected)) > 2
    assert train(tmp_path, make(kind, interval=interval), **options) == expected


def test_a_module_that_is_not_strict_keeps_the_way_of_lightning(tmp_path: Path) -> None:
    """After the first validation, which is the best, each epoch without another counts as a bad one."""
    model = make(Foreign, strict=False)
    model.loss = lambda batch: model.net(batch[0]).sum() * 0 + 1.0
    rates = train(tmp_path, model, check_val_every_n_epoch=2)[::STEPS]
    assert rates == [RATE, RATE, RATE, RATE / 2, RATE / 4, RATE / 8]


def test_a_metric_of_the_training_is_there_at_once(tmp_path: Path) -> None:
    rates = train(tmp_path, make(Foreign, monitor="train_loss", interval="step"), limit_val_batches=0)
    assert len(set(rates)) > 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"limit_val_batches": 0},
            "ReduceLROnPlateau follows val_loss, which is not logged; did you mean 'train_loss'",
        ),
        (
            {"monitor": "val_los"},
            "ReduceLROnPlateau follows val_los, which is not logged; did you mean 'val_loss'?",
        ),
        ({"monitor": "val_los", "check_val_every_n_epoch": 3}, "follows val_los, which is not logged"),
    ],
)
def test_a_metric_that_never_comes_is_not_waited_for(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    monitor = {"monitor": options.pop("monitor", "val_loss")}
    with pytest.raises(UsageError, match=message):
        train(tmp_path, make(Foreign, **monitor), **options)


def test_a_model_of_this_project_without_validation_says_what_else_can_be_followed(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no validation; let it follow .* --model\.scheduler\.monitor train/loss"
    ):
        train(tmp_path, make(Own), limit_val_batches=0)
