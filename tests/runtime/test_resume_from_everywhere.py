"""A run resumed from any of its checkpoints, whoever wrote it, ends like one that was never stopped."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import StochasticWeightAveraging
from torch.utils.data import DataLoader

from benchmarks.equality import equal, figures
from benchmarks.killed_loaders import CountsEpochs, Rows
from benchmarks.killed_training import MANUAL, Noisy, SaveEverywhere, Unfreeze
from callbacks import ActivationMonitor, GradientMonitor, NonFiniteGuard
from callbacks.steps import steps_done
from datamodules.loader import TensorLoader
from runtime.checkpoint_io import AtomicIO
from runtime.loggers import MetricsCSV
from runtime.loop import use_lean_loop
from runtime.replay import ReplayLoader
from runtime.resume import FIGURES, NOTHING, PART_OF_A_STEP, ExactResume, first_step_to_log, lost_by_resuming


def with_noise(parts: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    x, y = parts
    return x + torch.randn_like(x), y


def fit(
    folder: Path,
    style: str,
    *,
    table: Path | None = None,
    resume: Path | None = None,
    add: Callable[[], pl.Callback] | None = None,
    counts_epochs: bool = False,
    **options: Any,
) -> tuple[dict[str, Any], list[Path]]:
    """Train, or resume with this table of figures; what a run ends with, and the copies of it with their checkpoints."""
    pl.seed_everything(1 if resume is None else 2, verbose=False)
    folder.mkdir()
    if table is not None and table.exists():
        shutil.copy(table, folder)
    purge_step = first_step_to_log(torch.load(resume, weights_only=True)) if resume else None
    savers = [] if resume else [SaveEverywhere(folder, folder / "copies")]
    added = [add()] if add else []
    # They log at steps of their own, which must be those of the losses.
    added += [GradientMonitor(), ActivationMonitor(), NonFiniteGuard()] if style in MANUAL else []
    trainer = pl.Trainer(
        **{"max_epochs": 2, "log_every_n_steps": 1, "accelerator": "cpu", **options},
        callbacks=[ExactResume(), *added, *savers],
        logger=MetricsCSV(folder, purge_step),
        plugins=[AtomicIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    use_lean_loop(trainer)
    x = torch.randn(28, 3, generator=torch.Generator().manual_seed(0))
    train: Any = TensorLoader((x, x.sum(1)), batch_size=8, shuffle=True, transform=with_noise)
    if counts_epochs:
        loader = DataLoader(Rows(), sampler=CountsEpochs(), batch_size=20)
        train = ReplayLoader(loader, epoch=lambda: trainer.current_epoch)
    model = Noisy(style)
    trainer.fit(model, train, TensorLoader((x, x.sum(1)), batch_size=10), ckpt_path=resume, weights_only=True)
    end = {
        "weights": model.state_dict(),
        "optimizers": [each.state_dict() for each in trainer.optimizers],
        "schedules": [each.scheduler.state_dict() for each in trainer.lr_scheduler_configs],
        "steps": (steps_done(trainer), trainer.current_epoch, trainer.global_step),
    }
    return end, savers[0].saved if savers else []


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
    "two optimizers, validated within an epoch": ("two optimizers", {"val_check_interval": 2}),
    "raw optimizers": ("raw optimizers", {}),
    "bfloat16": ("step", {"precision": "bf16-mixed"}),
    "layers unfrozen": ("step", {"max_epochs": 4, "add": Unfreeze}),
    "averaged weights": (
        "epoch",
        {"max_epochs": 3, "add": lambda: StochasticWeightAveraging(0.01, swa_epoch_start=2)},
    ),
    "sampler that counts epochs": ("step", {"max_epochs": 3, "counts_epochs": True}),
}


@pytest.mark.parametrize("way", WAYS)
def test_resumed_from_every_checkpoint(way: str, tmp_path: Path) -> None:
    style, options = WAYS[way]
    expected, saved = fit(tmp_path / "whole", style, **options)
    table = tmp_path / "whole/metrics.csv"
    kinds = []
    for number, copy in enumerate(saved):
        path = copy / "checkpoints/last.ckpt"
        checkpoint = torch.load(path, weights_only=True)
        kinds.append(lost_by_resuming(checkpoint))
        nothing_left = kinds[-1] == FIGURES and first_step_to_log(checkpoint) == expected["steps"][0]
        if kinds[-1] == PART_OF_A_STEP or nothing_left:
            continue
        # Killed at once, or at the end of the run.
        left = copy / "metrics.csv" if number % 2 else table
        folder = tmp_path / f"resumed_{number}"
        end, _ = fit(folder, style, table=left, resume=path, **options)
        assert equal(end, expected), path
        if kinds[-1] == NOTHING:
            assert figures(folder) == figures(table.parent), path
    assert kinds.count(NOTHING) >= 4
    assert {FIGURES, PART_OF_A_STEP} <= set(kinds)


def test_within_a_step_something_is_lost(tmp_path: Path) -> None:
    """A checkpoint that says so does resume differently: the gradients of its first batches are not in it."""
    options = {"accumulate_grad_batches": 2, "val_check_interval": 3}
    expected, saved = fit(tmp_path / "whole", "step", **options)
    paths = [copy / "checkpoints/last.ckpt" for copy in saved]
    kinds = [lost_by_resuming(torch.load(path, weights_only=True)) for path in paths]
    within = paths[kinds.index(PART_OF_A_STEP)]
    end, _ = fit(tmp_path / "resumed", "step", resume=within, **options)
    assert not equal(end["weights"], expected["weights"])
