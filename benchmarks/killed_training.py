"""What `kill_and_resume.py` trains, and the callbacks that say what a run is doing and write its checkpoints."""

import mmap
import random
import shutil
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BaseFinetuning, Checkpoint
from torch import Tensor, nn
from torch.optim import Optimizer

from runtime.checkpoint_io import AtomicIO

PHASES = ("start-up", "training", "validation", "end of an epoch", "writing a checkpoint", "end of the run")
PHASE = mmap.mmap(-1, 1)  # number of the phase; the killer shares this memory


MANUAL = ("two optimizers", "raw optimizers")  # the steps of the latter are not counted by Lightning


class Noisy(pl.LightningModule):
    """Draws numbers wherever it can, and logs in steps, epochs and hooks.

    Args:
        style: "step" or "epoch", the interval of its schedule; "plateau" or "plateau by step"; or one of `MANUAL`.
    """

    def __init__(self, style: str = "step") -> None:
        super().__init__()
        self.style = style
        self.net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 1))
        self.automatic_optimization = style not in MANUAL

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        loss = self._loss(batch)
        self.log("train/loss", loss, on_step=True, on_epoch=True)
        if self.automatic_optimization:
            return loss
        for optimizer in self.optimizers(use_pl_optimizer=self.style != "raw optimizers"):
            optimizer.zero_grad()
            self.manual_backward(self._loss(batch))
            optimizer.step()
        return None

    def on_train_epoch_end(self) -> None:
        self.log("train/drawn", torch.rand(()))

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        name = f"val/loss_{dataloader_idx}" if dataloader_idx else "val/loss"
        self.log(name, self._loss(batch) + torch.rand(()), add_dataloader_idx=False)

    def configure_optimizers(self) -> Any:
        if self.style in MANUAL:
            parts = self.net[0], self.net[3]
            return [torch.optim.Adam(part.parameters(), 0.01) for part in parts]
        optimizer = torch.optim.Adam([p for p in self.parameters() if p.requires_grad], 0.05)
        if self.style.startswith("plateau"):
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=1.0)
            interval = "step" if self.style == "plateau by step" else "epoch"
            config = {"scheduler": plateau, "monitor": "val/loss", "interval": interval}
            return {"optimizer": optimizer, "lr_scheduler": config}
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return [optimizer], [{"scheduler": schedule, "interval": self.style}]

    def _loss(self, batch: Any) -> Tensor:
        if isinstance(batch, Mapping):  # of several loaders
            return torch.stack([self._loss(each) for each in batch.values()]).sum()
        return nn.functional.mse_loss(self.net(batch[0])[:, 0] + random.random(), batch[1])


class Unfreeze(BaseFinetuning):
    """Trains the first layer from the third epoch on."""

    def freeze_before_training(self, pl_module: pl.LightningModule) -> None:
        self.freeze(pl_module.net[0])

    def finetune_function(self, pl_module: pl.LightningModule, epoch: int, optimizer: Optimizer) -> None:
        if epoch == 2:
            self.unfreeze_and_add_param_group(pl_module.net[0], optimizer)


class SaveEverywhere(Checkpoint):
    """Writes a checkpoint wherever a callback can, with the files of the run as a kill just then would leave them.

    Args:
        folder: of the run.
        copies: each copy of the run goes into a folder below it, and has one checkpoint, `checkpoints/last.ckpt`.
    """

    def __init__(self, folder: Path, copies: Path) -> None:
        self.folder, self.copies = folder, copies
        self.saved: list[Path] = []

    def save(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.sanity_checking:
            return
        copy = self.copies / str(len(self.saved))
        trainer.save_checkpoint(copy / "checkpoints/last.ckpt", weights_only=False)
        if trainer.is_global_zero:
            leave_out = shutil.ignore_patterns("checkpoints", ".lock", self.copies.name)
            shutil.copytree(self.folder, copy, ignore=leave_out, dirs_exist_ok=True)
        self.saved.append(copy)

    between_steps = after_last_step = save
    on_train_batch_end = on_validation_end = on_train_epoch_start = on_train_epoch_end = save


class ReportPhase(pl.Callback):
    """Notes in `PHASE` what the first process is doing."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if trainer.global_rank == 0:
            AtomicIO.save_checkpoint = noting_phase(AtomicIO.save_checkpoint)  # type: ignore[method-assign]

    def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        note(trainer, "training")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            note(trainer, "validation")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            note(trainer, "end of an epoch")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        note(trainer, "end of the run")


def note(trainer: pl.Trainer, phase: str) -> None:
    """Note the phase."""
    if trainer.global_rank == 0:
        PHASE[0] = PHASES.index(phase)


def noting_phase(save: Callable[..., None]) -> Callable[..., None]:
    """The same function, which also notes when it is running."""

    @wraps(save)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        before, PHASE[0] = PHASE[0], PHASES.index("writing a checkpoint")
        save(*args, **kwargs)
        PHASE[0] = before

    return wrapped
