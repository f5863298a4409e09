"""What a module trains, and in which mode, is kept in a checkpoint and restored."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from benchmarks.killed_training import Noisy
from runtime.module_modes import module_modes, restore_module_modes
from runtime.resume import KEY, ExactResume


class Freezes(pl.Callback):
    """Freezes the first layer and the statistics of the second in the second epoch."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            freeze(pl_module)


class SaveInValidation(pl.Callback):
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            trainer.save_checkpoint(f"{trainer.default_root_dir}/{trainer.current_epoch}.ckpt")


def freeze(module: Any) -> None:
    module.net[0].requires_grad_(False)
    module.net[1].track_running_stats = False
    module.net[1].eval()


def fit(folder: Path, model: pl.LightningModule, resume: Path | None = None) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2 if resume is None else 3,
        callbacks=[ExactResume(), *([Freezes(), SaveInValidation()] if resume is None else [])],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    x = torch.randn(8, 3)
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x.sum(1)), batch_size=4)
    trainer.fit(model, batches, batches, ckpt_path=resume, weights_only=True)
    return trainer


def modes_of(model: Any) -> tuple[bool, bool, bool, bool]:
    norm = model.net[1]
    return model.net[0].weight.requires_grad, norm.track_running_stats, norm.training, model.net[2].training


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start")
def test_a_resumed_run_trains_what_was_trained(tmp_path: Path) -> None:
    """The checkpoint is from within a validation, in which all modules are in evaluation mode."""
    fit(tmp_path, Noisy())
    for epoch, frozen in ((0, False), (1, True)):
        path = tmp_path / f"{epoch}.ckpt"
        saved = torch.load(path, weights_only=True)[KEY][0]["modes"]
        assert saved["training"]["net.2"]
        model = Noisy()
        fit(tmp_path, model, path)
        assert modes_of(model) == (not frozen, not frozen, not frozen, True)


def test_names_that_are_new_stay_as_they_are() -> None:
    old, new = Noisy(), Noisy()
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(old)
    freeze(old)
    modes = module_modes(trainer, old)
    new.added = torch.nn.Linear(1, 1)
    new.added.requires_grad_(False).eval()
    restore_module_modes(modes, new)
    assert modes_of(new) == (False, False, False, True)
    assert not new.added.weight.requires_grad
    assert not new.added.training
