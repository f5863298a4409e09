"""A run resumed from any of its checkpoints, whoever wrote it, ends like one that was never stopped."""

import csv
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor, nn

from benchmarks.equality import equal
from datamodules.loader import TensorLoader
from runtime.checkpoint_io import AtomicIO
from runtime.loggers import MetricsCSV
from runtime.loop import use_lean_loop
from runtime.resume import FIGURES, NOTHING, PART_OF_A_STEP, ExactResume, first_step_to_log, lost_by_resuming


class Noisy(pl.LightningModule):
    """Draws numbers wherever it can, and logs in steps, epochs and hooks."""

    def __init__(self, style: str = "") -> None:
        super().__init__()
        self.style = style
        self.net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 1))
        self.automatic_optimization = style != "two optimizers"

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor | None:
        loss = self._loss(batch)
        self.log("train/loss", loss, on_step=True, on_epoch=True)
        if self.automatic_optimization:
            return loss
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(self._loss(batch))
            optimizer.step()
        return None

    def on_train_epoch_end(self) -> None:
        self.log("train/drawn", torch.rand(()))

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val/loss", self._loss(batch) + torch.rand(()))

    def configure_optimizers(self) -> Any:
        if self.style == "two optimizers":
            parts = self.net[0], self.net[3]
            return [torch.optim.Adam(part.parameters(), 0.01) for part in parts]
        optimizer = torch.optim.Adam(self.parameters(), 0.05)
        if self.style.startswith("plateau"):
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=1.0)
            interval = "step" if self.style == "plateau by step" else "epoch"
            config = {"scheduler": plateau, "monitor": "val/loss", "interval": interval}
            return {"optimizer": optimizer, "lr_scheduler": config}
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return [optimizer], [{"scheduler": schedule, "interval": self.style or "step"}]

    def _loss(self, batch: list[Tensor]) -> Tensor:
        return nn.functional.mse_loss(self.net(batch[0])[:, 0] + random.random(), batch[1])


class SaveEverywhere(Checkpoint):
    """Writes a checkpoint whenever a callback can, with a copy of the table as a kill just then would leave it."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.saved: list[Path] = []

    def save(self, trainer: pl.Trainer, *args: Any) -> None:
        if self.folder is None or trainer.sanity_checking:
            return
        path = self.folder / f"{len(self.saved)}.ckpt"
        trainer.save_checkpoint(path, weights_only=False)
        table = self.folder / "metrics.csv"
        shutil.copy(table, path.with_suffix(".csv")) if table.exists() else path.with_suffix(".csv").touch()
        self.saved.append(path)

    between_steps = after_last_step = on_train_batch_end = on_validation_end = on_train_epoch_end = save


def fit(
    folder: Path, style: str, *, table: Path | None = None, resume: Path | None = None, **options: Any
) -> tuple[dict[str, Any], list[Path]]:
    """Train, or resume with this table of figures; what a run ends with, and its checkpoints."""
    pl.seed_everything(1 if resume is None else 2, verbose=False)
    folder.mkdir()
    if table is not None:
        shutil.copy(table, folder / "metrics.csv")
    purge_step = first_step_to_log(torch.load(resume, weights_only=True)) if resume else None
    saver = SaveEverywhere(folder if resume is None else None)
    trainer = pl.Trainer(
        **{"max_epochs": 2, "log_every_n_steps": 1, "accelerator": "cpu", **options},
        callbacks=[ExactResume(), saver],
        logger=MetricsCSV(folder, purge_step),
        plugins=[AtomicIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    use_lean_loop(trainer)
    x = torch.randn(28, 3, generator=torch.Generator().manual_seed(0))
    train = TensorLoader(
        (x, x.sum(1)), batch_size=8, shuffle=True, transform=lambda x: x + torch.randn_like(x)
    )
    model = Noisy(style)
    trainer.fit(model, train, TensorLoader((x, x.sum(1)), batch_size=10), ckpt_path=resume, weights_only=True)
    end = {
        "weights": model.state_dict(),
        "optimizers": [each.state_dict() for each in trainer.optimizers],
        "schedules": [each.scheduler.state_dict() for each in trainer.lr_scheduler_configs],
        "steps": (trainer.global_step, trainer.current_epoch),
    }
    return end, saver.saved


def figures(table: Path) -> list[tuple[int, str, str]]:
    """Every figure with its step and name. A checkpoint may divide a row, so rows are not compared."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return sorted(
        (int(row["step"]), name, row[name]) for row in rows for name in row if row[name] and "/" in name
    )


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "schedule by step": ("step", {}),
    "schedule by epoch": ("epoch", {"limit_train_batches": 3, "limit_val_batches": 2}),
    "plateau": ("plateau", {}),
    "validated at every step": ("step", {"val_check_interval": 1}),
    "validated within an epoch": ("plateau", {"val_check_interval": 2}),
    "validated across epochs": ("step", {"val_check_interval": 3, "check_val_every_n_epoch": None}),
    "validated seldom": ("epoch", {"check_val_every_n_epoch": 2}),
    "plateau validated seldom": ("plateau", {"check_val_every_n_epoch": 2, "max_epochs": 4}),
    "plateau validated across epochs": (
        "plateau",
        {"val_check_interval": 5, "check_val_every_n_epoch": None},
    ),
    "plateau by step": ("plateau by step", {"val_check_interval": 2}),
    "last step alone logged": ("step", {"log_every_n_steps": 50}),
    "last step logged, too": ("epoch", {"log_every_n_steps": 3, "val_check_interval": 2}),
    "never validated": ("step", {"limit_val_batches": 0}),
    "accumulated": ("step", {"accumulate_grad_batches": 2}),
    "validated while accumulating": ("step", {"accumulate_grad_batches": 2, "val_check_interval": 3}),
    "validated at every accumulation": ("step", {"accumulate_grad_batches": 2, "val_check_interval": 2}),
    "ended by steps": ("step", {"max_epochs": -1, "max_steps": 6, "val_check_interval": 2}),
    "two optimizers": ("two optimizers", {}),
    "bfloat16": ("step", {"precision": "bf16-mixed"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_resumed_from_every_checkpoint(way: str, tmp_path: Path) -> None:
    style, options = WAYS[way]
    expected, saved = fit(tmp_path / "whole", style, **options)
    table = tmp_path / "whole/metrics.csv"
    kinds = []
    for number, path in enumerate(saved):
        checkpoint = torch.load(path, weights_only=True)
        kinds.append(lost_by_resuming(checkpoint))
        nothing_left = kinds[-1] == FIGURES and checkpoint["global_step"] == expected["steps"][0]
        if kinds[-1] == PART_OF_A_STEP or nothing_left:
            continue
        # Killed at once, or at the end of the run.
        left = path.with_suffix(".csv") if number % 2 else table
        folder = tmp_path / f"resumed_{number}"
        end, _ = fit(folder, style, table=left, resume=path, **options)
        assert equal(end, expected), path
        if kinds[-1] == NOTHING:
            assert figures(folder / "metrics.csv") == figures(table), path
    assert kinds.count(NOTHING) >= 4
    assert {FIGURES, PART_OF_A_STEP} <= set(kinds)


def test_within_a_step_something_is_lost(tmp_path: Path) -> None:
    """A checkpoint that says so does resume differently: the gradients of its first batches are not in it."""
    options = {"accumulate_grad_batches": 2, "val_check_interval": 3}
    expected, saved = fit(tmp_path / "whole", "step", **options)
    kinds = [lost_by_resuming(torch.load(path, weights_only=True)) for path in saved]
    within = saved[kinds.index(PART_OF_A_STEP)]
    end, _ = fit(tmp_path / "resumed", "step", resume=within, **options)
    assert not equal(end["weights"], expected["weights"])
