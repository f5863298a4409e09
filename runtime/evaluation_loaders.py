"""The loaders of an evaluation. In several processes each row is seen once; where it cannot be, the run says so.

They draw nothing that a resumed training would miss (`lasting_workers.py`).
"""

from collections.abc import Iterator
from functools import wraps
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import CombinedLoader
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, IterableDataset, SequentialSampler

from datamodules.resumable import ResumableLoader, global_batches
from runtime.lasting_workers import seed_lasting_workers
from runtime.private import spreads_samples
from runtime.replay import KEPT


def share_evaluation(source: Any, trainer: pl.Trainer) -> None:
    """Make the loaders for validation and test give each process its share of the rows.

    Lightning's own sampler repeats rows until all processes have as many (its sampler for predictions does not).

    Args:
        source: a LightningDataModule, or a LightningModule with its own data.
        trainer: says which process this is, and how many there are.
    """
    for name in ("val_dataloader", "test_dataloader"):
        setattr(source, name, sharing(getattr(source, name), name, trainer))


def sharing(original: Any, name: str, trainer: pl.Trainer) -> Any:
    """The method `original` of the user's, whose loaders are shared out."""
    reported: set[str] = set()

    @wraps(original)
    def dataloader() -> Any:
        given = original()
        combined = given if isinstance(given, CombinedLoader) else CombinedLoader(given, "sequential")
        loaders = list(combined.flattened)
        for number, loader in enumerate(loaders):
            seed_lasting_workers(loader, trainer, number)
        if trainer.world_size == 1 or not spreads_samples(trainer):
            return given
        for reason in {why_not_once(each, trainer.world_size) for each in loaders} - {None} - reported:
            reported.add(str(reason))
            rank_zero_warn(f"{name}: {reason}")
        combined.flattened = [
            SharedLoader(each, trainer.global_rank, trainer.world_size)
            if can_be_shared(each, trainer.world_size)
            else each
            for each in loaders
        ]
        return combined if given is combined else combined.iterables

    return dataloader


def can_be_shared(loader: Any, world_size: int) -> bool:
    """Whether it is PyTorch's DataLoader, reads rows in their order, and has one for every process."""
    return (
        type(loader) is DataLoader
        and not isinstance(loader.dataset, IterableDataset)
        and type(loader.sampler) is SequentialSampler
        and type(loader.batch_sampler) is BatchSampler
        and not loader.drop_last
        and len(loader.sampler) >= world_size
    )


def why_not_once(loader: Any, world_size: int) -> str | None:
    """Why some rows are evaluated more than once; None if none are, or the user's own sampler decides."""
    if isinstance(loader, ResumableLoader) or can_be_shared(loader, world_size):
        return None
    if isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset):
        if isinstance(loader.sampler, DistributedSampler):
            return None
        return (
            f"Lightning spreads its rows over {world_size} processes and repeats some of them until all processes "
            "have as many; one process (--trainer.devices 1) counts each row once"
        )
    kind = type(loader).__name__
    return f"each of the {world_size} processes reads the whole {kind}, unless it asks for its rank itself"


def gives_each_row_once(loader: Any) -> bool:
    """Whether several processes see each row of an evaluation's loader once, taken together."""
    return isinstance(loader, ResumableLoader | SharedLoader)


class SharedLoader:
    """One process's share of the rows of `loader`; it answers as `loader` does.

    Every process gets as many batches, because they may wait for each other in each; some have a row less.

    Args:
        loader: one for which `can_be_shared` holds.
        rank, world_size: this process and how many there are.
    """

    def __init__(self, loader: DataLoader, rank: int, world_size: int) -> None:
        self.source = loader
        num_rows = len(loader.sampler)  # type: ignore[arg-type]
        bounds = global_batches(num_rows, (loader.batch_size or 1) * world_size, world_size)
        self._loader: DataLoader = DataLoader(
            loader.dataset,
            batch_sampler=[list(range(start + rank, stop, world_size)) for start, stop in bounds],
            collate_fn=loader.collate_fn,
            worker_init_fn=loader.worker_init_fn,
            generator=loader.generator,
            **{name: getattr(loader, name) for name in KEPT},
        )

    def __getattr__(self, name: str) -> Any:
        """Anything else is the source's."""
        if name == "source":  # while it is copied
            raise AttributeError(name)
        return getattr(self.source, name)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._loader)
