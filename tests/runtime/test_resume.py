"""A run that is stopped anywhere and resumed from its last checkpoint ends bit for bit like one that never stopped."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAccuracy

from datamodules.loader import TensorLoader
from runtime.checkpoint import LastCheckpoint
from runtime.resume import ExactResume, load_loader_states

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu", "logger": False}


class KilledError(Exception):
    """Stands for a kill: nothing is saved after it."""


class Noisy(pl.LightningModule):
    """Dropout, batch normalization, a schedule, and every kind of average over an epoch."""

    def __init__(self, schedule: str = "step", die_at: int | None = None, die_in: str = "train") -> None:
        super().__init__()
        self.schedule = schedule
        self.die_at, self.die_in = die_at, die_in
        self.net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.accuracy, self.mean = BinaryAccuracy(), MeanMetric()
        self.logged: list[dict[str, float]] = []

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        if self.die_in == "train" and self.die_at == self.trainer.fit_loop.total_batch_idx:
            raise KilledError
        x, y = batch
        logit = self.net(x)[:, 0] + random.random() + np.random.rand()
        loss = nn.functional.binary_cross_entropy_with_logits(logit, y)
        self.accuracy(logit, y.long())
        self.mean.update(loss.detach())
        self.log("train/accuracy", self.accuracy, on_step=False, on_epoch=True)
        self.log("train/loss", loss, on_step=True, on_epoch=True)
        self.log("train/largest", loss, on_step=False, on_epoch=True, reduce_fx="max")
        if batch_idx == 1:
            self.log("train/once", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("train/mean", self.mean.compute())
        self.mean.reset()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        if self.die_in == "validation" and self.die_at == self.trainer.fit_loop.total_batch_idx:
            raise KilledError
        torch.rand(1)  # a validation may draw numbers too
        x, y = batch
        self.log("val/loss", nn.functional.binary_cross_entropy_with_logits(self.net(x)[:, 0], y))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.05)
        if self.schedule == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, patience=0, factor=0.5, threshold=1.0
            )
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val/loss"}}
        # Asking for this has Lightning make the loader before it reads the checkpoint's state of it.
        total_steps = 2 * self.trainer.estimated_stepping_batches
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=int(total_steps))
        return [optimizer], [{"scheduler": scheduler, "interval": self.schedule}]


class DrawNumbers(pl.Callback):
    """Another callback that uses the generators, before and after a checkpoint is written."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.rand(3)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.rand(1), random.random(), np.random.rand()


def with_noise(parts: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    x, y = parts
    return x + torch.randn_like(x), y


def loaders() -> list[TensorLoader]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(44, 3, generator=generator)
    tensors = (x, (x.sum(1) > 0).float())
    train = TensorLoader(tensors, batch_size=8, shuffle=True, transform=with_noise)
    return [train, TensorLoader(tensors, batch_size=16)]


def fit(
    folder: Path, *model_args: Any, resume: Path | None = None, also: Any = (), **options: Any
) -> dict[str, Any]:
    """Train; everything that a run ends with."""
    pl.seed_everything(1 if resume is None else 2, verbose=False)
    model = Noisy(*model_args)
    average = EMAWeightAveraging(decay=0.9)
    callbacks = [ExactResume(), DrawNumbers(), average, LastCheckpoint(folder, every_n_steps=1), *also]
    trainer = pl.Trainer(
        **{"max_epochs": 3, "num_sanity_val_steps": 0, **QUIET, **options},
        callbacks=callbacks,
        default_root_dir=folder,
    )
    trainer.fit(model, *loaders(), ckpt_path=resume, weights_only=True)
    metrics = {name: value for name, value in trainer.callback_metrics.items() if not name.endswith("_step")}
    optimizer = trainer.optimizers[0].state_dict()
    return {
        "weights": model.state_dict(),
        "optimizer": optimizer,
        "metrics": metrics,
        "step": trainer.global_step,
    }


def assert_same(first: Any, second: Any) -> None:
    torch.testing.assert_close(second, first, rtol=0, atol=0, equal_nan=True)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "schedule by step": ("step", {}),
    "schedule by epoch": ("epoch", {}),
    "schedule by plateau": ("plateau", {}),
    "accumulated": ("plateau", {"accumulate_grad_batches": 2}),
    "validated often": ("plateau", {"val_check_interval": 2}),
    "validated rarely": ("epoch", {"check_val_every_n_epoch": 2}),
    "validated by steps": ("step", {"check_val_every_n_epoch": None, "val_check_interval": 4}),
    "ended by steps": ("plateau", {"max_epochs": -1, "max_steps": 15}),
    "never validated": ("step", {"limit_val_batches": 0}),
}
# Batches, 6 in an epoch: early and late in one, the first (when the checkpoint is that of the epoch's end), the last.
DIE_AT = [2, 6, 11, 13]


@pytest.mark.parametrize(("schedule", "options"), CASES.values(), ids=CASES)
def test_stopped_anywhere(schedule: str, options: dict[str, Any], tmp_path: Path) -> None:
    expected = fit(tmp_path / "whole", schedule, **options)
    for die_at in DIE_AT:
        folder = tmp_path / str(die_at)
        with pytest.raises(KilledError):
            fit(folder, schedule, die_at, **options)
        assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] <= die_at
        assert_same(expected, fit(folder, schedule, resume=folder / "last.ckpt", **options))


@pytest.mark.parametrize("die_at", [3, 5])
def test_stopped_in_a_validation(die_at: int, tmp_path: Path) -> None:
    options = {"val_check_interval": 2}
    expected = fit(tmp_path / "whole", "plateau", **options)
    with pytest.raises(KilledError):
        fit(tmp_path, "plateau", die_at, "validation", **options)
    assert_same(expected, fit(tmp_path, "plateau", resume=tmp_path / "last.ckpt", **options))


def test_stopped_again_and_again(tmp_path: Path) -> None:
    expected = fit(tmp_path / "whole", "plateau")
    resume = None
    for die_at in range(2, 18, 3):
        with pytest.raises(KilledError):
            fit(tmp_path, "plateau", die_at, resume=resume)
        resume = tmp_path / "last.ckpt"
    assert_same(expected, fit(tmp_path, "plateau", resume=resume))


@pytest.mark.parametrize("schedule", ["step", "plateau"])
@pytest.mark.parametrize(
    ("step", "options"),
    [(12, {}), (12, {"max_epochs": -1, "max_steps": 15}), (8, {"val_check_interval": 2})],
    ids=["by epochs", "by steps", "within an epoch"],
)
def test_from_a_checkpoint_of_lightnings_own(
    schedule: str, step: int, options: dict[str, Any], tmp_path: Path
) -> None:
    """Written when an epoch ends, before the schedule has followed the metric, or after a validation: so is best.ckpt."""
    expected = fit(tmp_path / "whole", schedule, **options)
    own = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1)
    fit(tmp_path / "again", schedule, also=[own], **options)
    assert_same(expected, fit(tmp_path / "on", schedule, resume=tmp_path / f"step={step}.ckpt", **options))


def test_another_seed_would_be_noticed(tmp_path: Path) -> None:
    """The comparison can fail: without the saved states, dropout and noise differ."""
    expected = fit(tmp_path / "whole", "step")
    with pytest.raises(KilledError):
        fit(tmp_path, "step", 8)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    del checkpoint["exact_resume"]
    torch.save(checkpoint, tmp_path / "stock.ckpt")
    with pytest.raises(AssertionError):
        assert_same(expected, fit(tmp_path, "step", resume=tmp_path / "stock.ckpt"))


def test_no_checkpoint_while_gradients_are_accumulated(tmp_path: Path) -> None:
    """Lightning would lose the gradients of such a one."""
    saved: list[int] = []

    class Watched(LastCheckpoint):
        def _save(self, trainer: pl.Trainer) -> None:
            saved.append(trainer.fit_loop.epoch_loop.total_batch_idx + 1)
            super()._save(trainer)

    trainer = pl.Trainer(
        max_epochs=2,
        accumulate_grad_batches=2,
        val_check_interval=4,
        num_sanity_val_steps=0,
        callbacks=[ExactResume(), Watched(tmp_path, every_n_steps=1)],
        default_root_dir=tmp_path,
        **QUIET,
    )
    trainer.fit(Noisy(), *loaders())
    assert saved == [2, 4, 6, 8, 10, 12]  # batches done in all


class SavesItself:
    """A loader from elsewhere; it believes to be within an epoch until somebody asks for a batch too many."""

    state: dict[str, int] | None = None

    def state_dict(self) -> dict[str, int]:
        return {"batches": 4}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.state = state


@pytest.mark.parametrize("is_within", [True, False])
def test_between_two_epochs_other_loaders_begin_anew(is_within: bool) -> None:
    ours, theirs = TensorLoader((torch.arange(8),), batch_size=2), SavesItself()
    states = [{**ours.state_dict(), "epoch": 3, "next_batch": 4}, theirs.state_dict()]
    if not is_within:
        states[0]["rows_per_step"] = 4  # the next epoch may be cut into other batches
    loop = SimpleNamespace(
        restarting=is_within,
        _combined_loader=CombinedLoader([ours, theirs]),
        _combined_loader_states_to_load=states,
        _data_fetcher=iter([]),
    )
    trainer: Any = SimpleNamespace(fit_loop=loop)
    load_loader_states(trainer)
    assert (ours.epoch, len(list(ours))) == (3, 0 if is_within else 4)
    assert theirs.state == ({"batches": 4} if is_within else None)
    assert loop._combined_loader_states_to_load == []
