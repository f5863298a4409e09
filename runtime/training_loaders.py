"""The loaders that the user's code makes: those of a training are replayed if they can be, and named if not."""

import os
from collections.abc import Sized
from functools import wraps
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import CombinedLoader
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from datamodules.resumable import ResumableLoader, derived_seed
from runtime.errors import UsageError
from runtime.evaluation_loaders import share_evaluation
from runtime.lasting_workers import has_lasting_workers, seed_lasting_workers
from runtime.private import batches_ahead, forget_arguments
from runtime.replay import ReplayLoader


def prepare_loaders(source: Any, trainer: pl.Trainer) -> None:
    """Let a training replay its batches, and an evaluation in several processes see each row once."""
    replay_training(source, trainer, int(os.environ.get("PL_GLOBAL_SEED", 0)))
    share_evaluation(source, trainer)
    prepare_predictions(source, trainer)


def replay_training(source: Any, trainer: pl.Trainer, seed: int) -> None:
    """Make `source.train_dataloader()` return a ReplayLoader for each DataLoader that can be replayed.

    Every other loader stays as it is, and a warning says what resuming then guarantees.

    Args:
        source: a LightningDataModule, or a LightningModule with its own data.
        trainer: says which process and epoch this is.
        seed: see `ReplayLoader`; a second loader gets one of its own.
    """
    original = source.train_dataloader
    reported: set[str] = set()

    @wraps(original)
    def train_dataloader() -> Any:
        given = original()
        combined = given if isinstance(given, CombinedLoader) else CombinedLoader(given, "max_size_cycle")
        loaders = list(combined.flattened)
        for reason in {why_not(each, trainer) for each in loaders} - {None} - reported:
            reported.add(str(reason))
            rank_zero_warn(str(reason))
        for number, loader in enumerate(loaders):
            seed_lasting_workers(loader, trainer, number)
        combined.flattened = [
            each if why_not(each, trainer) or not is_plain(each) else replayed(each, number)
            for number, each in enumerate(loaders)
        ]
        return combined if given is combined else combined.iterables

    def replayed(loader: DataLoader, number: int) -> ReplayLoader:
        splits = isinstance(loader.sampler, DistributedSampler)  # the samples among the processes
        share = ReplayLoader(
            loader,
            seed=derived_seed(seed, number) if number else seed,
            rank=0 if splits else trainer.global_rank,
            world_size=1 if splits else trainer.world_size,
            epoch=lambda: trainer.current_epoch,
            ahead=lambda: batches_ahead(trainer),
        )
        check_share(share)
        return share

    source.train_dataloader = train_dataloader


def check_share(share: ReplayLoader) -> None:
    """Refuse to train without a single step, because no process gets a batch of its own.

    Raises:
        UsageError: in every process.
    """
    try:
        if share.world_size == 1 or len(share) > 0 or len(share.source) == 0:
            return
    except TypeError:  # an endless sampler
        return
    raise UsageError(
        f"the training data are too few for {share.world_size} processes: none gets a whole batch; use fewer "
        "(--trainer.devices), or a smaller batch"
    )


def prepare_predictions(source: Any, trainer: pl.Trainer) -> None:
    """Let DataLoaders be made in any way, and refuse fewer samples than processes: one would fail, the others wait."""
    original = source.predict_dataloader

    @wraps(original)
    def predict_dataloader() -> Any:
        given = original()
        for loader in CombinedLoader(given, "sequential").flattened:
            if is_plain(loader):
                forget_arguments(loader)
            is_sized = isinstance(loader, DataLoader) and isinstance(loader.dataset, Sized)
            if is_sized and 0 < len(loader.dataset) < trainer.world_size:
                raise UsageError(
                    f"there are {len(loader.dataset)} samples to predict for {trainer.world_size} processes; use fewer "
                    "(--trainer.devices)"
                )
        return given

    source.predict_dataloader = predict_dataloader


def is_plain(loader: Any) -> bool:
    """Whether it is PyTorch's DataLoader, whose batches are known from its parts; a subclass may do anything."""
    return type(loader) is DataLoader


def why_not(loader: Any, trainer: pl.Trainer) -> str | None:
    """What resuming guarantees for a loader whose batches cannot be replayed; None if they can, or it does so itself."""
    stateful = all(callable(getattr(loader, name, None)) for name in ("state_dict", "load_state_dict"))
    if isinstance(loader, ResumableLoader) or (stateful and hasattr(loader, "__len__")):
        return None
    if stateful:
        return (
            f"the training loader {type(loader).__name__} has no length, so one batch is read ahead: a run that is "
            "stopped within an epoch resumes without that batch"
        )
    kind = f"the training loader is a {type(loader).__name__} of its own kind"
    if is_plain(loader):
        if not isinstance(loader.dataset, IterableDataset) and not trainer.overfit_batches:
            return None
        kind = "the training data are a stream, or overfit_batches is set"
    state = "the loader has a state of its own"
    if has_lasting_workers(loader):
        state += ", or its persistent workers draw random numbers"
    return (
        f"{kind}: a run that is stopped within an epoch resumes with other batches than it would have had; stopped "
        f"between two epochs, it resumes exactly unless {state}"
    )
