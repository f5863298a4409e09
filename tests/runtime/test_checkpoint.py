"""best.ckpt holds the best state, last.ckpt the newest."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.data import DataLoader, TensorDataset

from runtime.checkpoint import BestCheckpoint, LastCheckpoint
from runtime.resume import ExactResume

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


class Scripted(pl.LightningModule):
    """Its weight counts epochs, its validation loss is given."""

    def __init__(self, losses: list[float]) -> None:
        super().__init__()
        self.losses = losses
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return -self.weight

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log_dict({"val/loss": self.losses[self.current_epoch], "val/epoch": float(self.current_epoch)})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fit(folder: Path, losses: list[float], max_epochs: int, **options: Any) -> BestCheckpoint:
    best = BestCheckpoint("val/loss", options.pop("mode", "min"), dirpath=folder)
    callbacks = [ExactResume(), best, LastCheckpoint(folder)]
    trainer = pl.Trainer(
        max_epochs=max_epochs, callbacks=callbacks, num_sanity_val_steps=0, **QUIET, default_root_dir=folder
    )
    loader = DataLoader(TensorDataset(torch.zeros(1)))
    trainer.fit(options.pop("model", None) or Scripted(losses), loader, loader, **options)
    return best


class WithHparams(Scripted):
    def __init__(self, losses: list[float], rate: float = 0.5) -> None:
        super().__init__(losses)
        self.save_hyperparameters({"rate": rate, "_instantiator": "of.the.command.line"})


def test_the_hparams_page_has_the_model_and_no_private_columns(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path, name="run", default_hp_metric=False)
    options = {**QUIET, "logger": logger}
    trainer = pl.Trainer(max_epochs=2, callbacks=[ExactResume(), BestCheckpoint("val/loss")], **options)
    loader = DataLoader(TensorDataset(torch.zeros(1)))
    trainer.fit(WithHparams([0.5, 0.25]), loader, loader)
    events = EventAccumulator(logger.log_dir).Reload()
    plugin = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    start = HParamsPluginData.FromString(plugin).session_start_info
    assert sorted(start.hparams) == ["model", "rate"]
    assert start.hparams["model"].string_value == "WithHparams"
    assert events.Scalars("best/loss")[-1].value == 0.25


def epochs_trained(folder: Path, name: str) -> float:
    return torch.load(folder / name, weights_only=True)["state_dict"]["weight"].item()


@pytest.mark.parametrize(("mode", "epoch"), [("min", 1), ("max", 2)])
def test_best_and_last(mode: str, epoch: int, tmp_path: Path) -> None:
    best = fit(tmp_path, [0.5, 0.25, 0.75, 0.5], 4, mode=mode)
    assert epochs_trained(tmp_path, "best.ckpt") == epoch + 1
    assert epochs_trained(tmp_path, "last.ckpt") == 4
    assert best.best_metrics["epoch"] == best.best_metrics["val/epoch"] == epoch
    assert best.best_metrics["step"] == epoch + 1
    assert best.best_metrics["val/loss"] == [0.5, 0.25, 0.75, 0.5][epoch]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_a_run_that_goes_on_remembers_its_best(tmp_path: Path) -> None:
    losses = [0.5, 0.25, 0.75, 0.5]
    fit(tmp_path, losses, 2)
    best = fit(tmp_path, losses, 4, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert best.best_metrics["epoch"] == 1
    assert epochs_trained(tmp_path, "best.ckpt") == 2
    assert epochs_trained(tmp_path, "last.ckpt") == 4


def test_the_first_of_equals_is_kept(tmp_path: Path) -> None:
    best = fit(tmp_path, [0.5, 0.5], 2)
    assert best.best_metrics["epoch"] == 0
    assert epochs_trained(tmp_path, "best.ckpt") == 1


class Raw(Scripted):
    """Lightning does not count the steps of its optimizer."""

    def __init__(self, losses: list[float]) -> None:
        super().__init__(losses)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers(use_pl_optimizer=False)
        optimizer.zero_grad()
        self.manual_backward(-self.weight)
        optimizer.step()


def test_steps_that_lightning_does_not_count_are_saved(tmp_path: Path) -> None:
    losses = [0.5, 0.25, 0.75, 0.5]
    best = fit(tmp_path, losses, 3, model=Raw(losses))
    assert (best.best_metrics["epoch"], best.best_metrics["step"]) == (1, 2)
    assert (epochs_trained(tmp_path, "best.ckpt"), epochs_trained(tmp_path, "last.ckpt")) == (2, 3)
    fit(tmp_path, losses, 4, model=Raw(losses), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert (epochs_trained(tmp_path, "best.ckpt"), epochs_trained(tmp_path, "last.ckpt")) == (2, 4)


@pytest.mark.parametrize("losses", [[float("nan"), 0.5], [0.5, float("nan")]])
def test_not_a_number_is_never_the_best(losses: list[float], tmp_path: Path) -> None:
    best = fit(tmp_path, losses, 2)
    assert best.best_metrics["val/loss"] == 0.5
    assert epochs_trained(tmp_path, "best.ckpt") == losses.index(0.5) + 1


def test_of_short_epochs_the_first_is_saved_and_then_one_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.checkpoint.SECONDS_BETWEEN_EPOCHS", 1e6)
    saved: list[int] = []

    class Watched(LastCheckpoint):
        def _save(self, trainer: pl.Trainer) -> None:
            saved.append(trainer.global_step)
            super()._save(trainer)

    trainer = pl.Trainer(
        max_epochs=4, callbacks=[ExactResume(), Watched(tmp_path)], **QUIET, default_root_dir=tmp_path
    )
    trainer.fit(Scripted([0.5] * 4), DataLoader(TensorDataset(torch.zeros(1))))
    assert saved == [1, 4]


def test_the_first_validation_within_an_epoch_is_followed_by_a_checkpoint(tmp_path: Path) -> None:
    """From then on there is one from which a run resumes exactly, not only best.ckpt."""
    saved: list[tuple[int, int]] = []

    class Watched(LastCheckpoint):
        def between_steps(self, trainer: pl.Trainer, batches_done: int) -> None:
            before = self._saved_step
            super().between_steps(trainer, batches_done)
            if self._saved_step != before:
                saved.append((trainer.global_step, batches_done))

    trainer = pl.Trainer(
        max_epochs=2,
        val_check_interval=2,
        callbacks=[ExactResume(), BestCheckpoint(dirpath=tmp_path), Watched(tmp_path, every_n_minutes=1e6)],
        **QUIET,
        default_root_dir=tmp_path,
    )
    loader = DataLoader(TensorDataset(torch.zeros(6)))
    trainer.fit(Scripted([0.5, 0.5]), loader, loader)
    assert saved == [(2, 2)]


def test_without_validation_there_is_no_best_and_no_warning(tmp_path: Path) -> None:
    best = BestCheckpoint("val/loss", "min", dirpath=tmp_path)
    trainer = pl.Trainer(
        max_epochs=2, callbacks=[best], limit_val_batches=0, **QUIET, default_root_dir=tmp_path
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(Scripted([]), DataLoader(TensorDataset(torch.zeros(1))))
    assert not [each for each in caught if "monitor" in str(each.message)]
    assert list(tmp_path.glob("*.ckpt")) == []
