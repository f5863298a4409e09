"""What `kill_and_resume.py` kills: data read by workers, and a callback that reports the phase of the run."""

import mmap
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import TRAIN_DATALOADERS
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from runtime.checkpoint_io import AtomicIO

PHASES = ("start-up", "training", "validation", "end of an epoch", "writing a checkpoint", "end of the run")
PHASE = mmap.mmap(-1, 1)  # number of the phase; the killer shares this memory


class NoisyRows(Dataset):
    """Two classes of points; a point's position varies a little at each read."""

    def __len__(self) -> int:
        return 480

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        center = torch.tensor([index % 2, index % 3], dtype=torch.float32)
        return center + torch.randn(2), torch.tensor(index % 2)


class WorkerData(pl.LightningDataModule):
    """Two workers read the shuffled training data; it knows nothing about exact resume."""

    task, in_shape, out_features = "binary", (2,), 1

    def train_dataloader(self) -> TRAIN_DATALOADERS:
        return DataLoader(NoisyRows(), batch_size=24, shuffle=True, num_workers=2)

    def val_dataloader(self) -> TRAIN_DATALOADERS:
        x = torch.randn(480, 2, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=24)


class ReportPhase(pl.Callback):
    """Notes in `PHASE` what the first process is doing."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if trainer.global_rank == 0:
            AtomicIO.save_checkpoint = reporting_phase(AtomicIO.save_checkpoint)  # type: ignore[method-assign]

    def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        tell(trainer, "training")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            tell(trainer, "validation")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            tell(trainer, "end of an epoch")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        tell(trainer, "end of the run")


def tell(trainer: pl.Trainer, phase: str) -> None:
    """Note the phase."""
    if trainer.global_rank == 0:
        PHASE[0] = PHASES.index(phase)


def reporting_phase(save: Callable[..., None]) -> Callable[..., None]:
    """The same function, which also reports when it is running."""

    @wraps(save)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        before, PHASE[0] = PHASE[0], PHASES.index("writing a checkpoint")
        save(*args, **kwargs)
        PHASE[0] = before

    return wrapped
