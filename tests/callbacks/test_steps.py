"""Everything is logged on one axis: the steps at which Lightning logs losses."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from callbacks import ActivationMonitor, Diagnosis, GradientMonitor, NonFiniteGuard
from callbacks.diagnostics.record import TrainingRecord
from callbacks.pictures.base import Picture
from callbacks.pictures.style import new_figure
from callbacks.steps import steps_done
from tests.callbacks.plain import MemoryLogger

BATCHES = 6


def in_turn(module: "Manual", batch: Tensor, batch_idx: int) -> None:
    """As in a GAN: both optimizers step in every batch."""
    for optimizer in module.optimizers():
        module.learn(optimizer, batch)


def one_seldom(module: "Manual", batch: Tensor, batch_idx: int) -> None:
    first, second = module.optimizers()
    module.learn(first, batch)
    if batch_idx % 3 == 2:
        module.learn(second, batch)


def accumulated(module: "Manual", batch: Tensor, batch_idx: int) -> None:
    """The module itself accumulates two batches."""
    first, second = module.optimizers()
    module.manual_backward(module.loss(batch))
    if batch_idx % 2:
        for optimizer in (first, second):
            optimizer.step()
            optimizer.zero_grad()


def raw(module: "Manual", batch: Tensor, batch_idx: int) -> None:
    """Lightning does not count these steps."""
    for optimizer in module.optimizers(use_pl_optimizer=False):
        module.learn(optimizer, batch)


class Manual(pl.LightningModule):
    def __init__(self, step: Callable[["Manual", Tensor, int], None]) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        self.step = step
        self.automatic_optimization = False
        self.counted: list[int] = []

    def loss(self, batch: Any) -> Tensor:
        return self.net(batch[0]).square().mean()

    def learn(self, optimizer: Any, batch: Any) -> None:
        optimizer.zero_grad()
        self.manual_backward(self.loss(batch))
        optimizer.step()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.step(self, batch, batch_idx)
        self.log("train/loss", loss := self.loss(batch).detach())
        return loss

    def on_train_batch_end(self, *args: Any) -> None:
        self.counted.append(steps_done(self.trainer))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(part.parameters(), 0.1) for part in (self.net[0], self.net[2])]


class Automatic(Manual):
    def __init__(self) -> None:
        super().__init__(raw)
        self.automatic_optimization = True

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.log("train/loss", loss := self.loss(batch))
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(
    module: Manual, *, nan_in_batch: int | None = None, also: Sequence[pl.Callback] = (), **options: Any
) -> tuple[pl.Trainer, MemoryLogger]:
    logger = MemoryLogger()
    callbacks = [GradientMonitor(), ActivationMonitor(), NonFiniteGuard(), Diagnosis(), *also]
    trainer = pl.Trainer(
        **{
            "max_epochs": 2,
            "log_every_n_steps": 1,
            "accelerator": "cpu",
            "num_sanity_val_steps": 0,
            **options,
        },
        callbacks=callbacks,
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    x = torch.randn(8 * BATCHES, 3, generator=torch.Generator().manual_seed(0))
    if nan_in_batch is not None:
        x[8 * nan_in_batch] = torch.nan
    loader = DataLoader(TensorDataset(x), 8)
    trainer.fit(module, loader, loader)
    return trainer, logger


def steps(logger: MemoryLogger, tag: str) -> list[int]:
    return [step for step, _ in logger.values[tag]]


@pytest.mark.parametrize("step", [in_turn, one_seldom, raw])
def test_each_batch_is_a_step(step: Any) -> None:
    module = Manual(step)
    _, logger = fit(module)
    assert module.counted == list(range(1, 2 * BATCHES + 1))
    assert steps(logger, "train/loss") == list(range(2 * BATCHES))
    assert steps(logger, "activation_mean/00_net.0") == list(range(2 * BATCHES))


@pytest.mark.parametrize("step", [in_turn, one_seldom])
def test_gradients_stand_at_the_steps_of_the_losses(step: Any) -> None:
    _, logger = fit(Manual(step), log_every_n_steps=4)
    assert steps(logger, "train/loss") == [3, 7, 11]
    for tag in ("grad_norm/00_net.0", "nonfinite/00_net.0", "activation_mean/00_net.0"):
        assert steps(logger, tag) == [0, 3, 7, 11]


def test_a_step_that_the_module_accumulates_itself_stands_at_its_last_batch() -> None:
    _, logger = fit(Manual(accumulated))
    assert steps(logger, "train/loss") == list(range(2 * BATCHES))
    assert steps(logger, "grad_norm/00_net.0") == list(range(1, 2 * BATCHES, 2))


@pytest.mark.parametrize("accumulate", [1, 4])
def test_with_automatic_optimization_a_step_is_an_optimizer_step(accumulate: int) -> None:
    trainer, logger = fit(Automatic(), accumulate_grad_batches=accumulate)
    assert steps_done(trainer) == trainer.global_step == 2 * -(-BATCHES // accumulate)
    assert steps(logger, "grad_norm/00_net.0") == list(range(trainer.global_step))
    assert set(steps(logger, "train/loss")) == set(range(trainer.global_step))


def test_an_epoch_that_is_skipped_has_no_step() -> None:
    class Skips(Manual):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
            return -1 if self.current_epoch == 0 and batch_idx == 2 else None

    _, logger = fit(Skips(in_turn))
    assert steps(logger, "train/loss") == steps(logger, "grad_norm/00_net.0") == list(range(2 + BATCHES))


def test_of_several_optimizers_the_largest_count_is_kept() -> None:
    """The second optimizer's gradients are finite; what the first one found stays."""

    class Half(Manual):
        def learn(self, optimizer: Any, batch: Any) -> None:
            if optimizer is self.optimizers()[1]:
                batch = [torch.nan_to_num(batch[0])]
            super().learn(optimizer, batch)

    with pytest.warns(UserWarning, match="NonFiniteGuard"):
        _, logger = fit(Half(in_turn), nan_in_batch=0, limit_train_batches=1, max_epochs=1)
    found = logger.values["nonfinite/00_net.0"]
    assert {step for step, _ in found} == {0}
    assert found[-1][1] > 0


def test_the_end_by_steps_is_in_batches() -> None:
    """`max_steps` counts the steps of both optimizers."""
    trainer, _ = fit(Manual(in_turn), max_steps=8, max_epochs=-1)
    record = TrainingRecord()
    record.update(trainer)
    assert (trainer.global_step, record.step, record.planned_steps) == (8, 4, 4)
    assert record.more == "--trainer.max_steps 40"


class OnePicture(Picture):
    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return True

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Any:
        figure = new_figure(1.0, 1.0)
        figure.suptitle("a picture")
        yield "own/picture", figure


def test_pictures_are_named_after_the_same_steps(tmp_path: Path) -> None:
    fit(Manual(in_turn), max_epochs=1, also=[OnePicture(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"own_picture_{step:06d}.png" for step in (0, BATCHES)
    ]
