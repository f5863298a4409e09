"""Make any `torch.utils.data.DataLoader` resume within an epoch and draw the same numbers with any workers."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch.utils.data import BatchSampler, DataLoader, Dataset, DistributedSampler, IterableDataset

from datamodules.resumable import ResumableLoader, derived_seed

# What the new loader copies unchanged; this module decides which samples make a batch.
KEPT = (
    "num_workers",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "prefetch_factor",
    "persistent_workers",
)


class ReplayLoader(ResumableLoader):
    """Yields the batches of `loader` in an order that is a pure function of (seed, epoch).

    A DataLoader draws its order, and the seeds of its workers, from the global generator, so a run that resumes within
    an epoch gets other batches. Here the sampler runs under a seed for the epoch. What samples and the collate
    function draw (augmentation) comes from a seed for the batch. So the numbers are the same with any number of
    workers, and a stopped loader resumes at the next batch without reading the earlier ones.

    Args:
        loader: of a data set whose samples have an index; its samplers may be of any kind.
        seed: of the order, and of what is drawn for each batch.
        rank, world_size: this process and how many there are. Each gets its share of the samples (of the batches,
            if a custom batch sampler makes them); the few that cannot be divided evenly are dropped.
    """

    def __init__(self, loader: DataLoader, *, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(seed=seed, rank=rank, world_size=world_size)
        self.source = loader
        self._plan: list[tuple[int, Any]] = []  # for each remaining batch, its seed and its samples
        self._loader: DataLoader = DataLoader(
            SeededBatches(loader),
            batch_sampler=self._plan,  # type: ignore[arg-type]
            collate_fn=as_it_is,
            generator=torch.Generator(),  # its own, because a new iterator draws a number
            **{name: getattr(loader, name) for name in KEPT},
        )

    def cut(self) -> dict[str, int]:
        return {"batches": len(self), "seed": self.seed}

    def __len__(self) -> int:
        if type(self.source.batch_sampler) is not BatchSampler:
            return len(self.source) // self.world_size
        share = len(self.source.sampler) // self.world_size  # type: ignore[arg-type]
        size = self.source.batch_sampler.batch_size
        return share // size if self.source.batch_sampler.drop_last else -(-share // size)

    def batches_from(self, first: int) -> Iterator[Any]:
        batches = enumerate(self._batches())
        self._plan[:] = [(self._seed(1, self.rank, number), samples) for number, samples in batches][first:]
        yield from self._loader

    def _batches(self) -> list[Any]:
        """The indices of the samples of each batch of this process and epoch."""
        loader = self.source
        with seeded(self._seed(0)):
            sources: tuple[Any, ...] = (loader, loader.sampler, loader.batch_sampler)
            for each in sources:
                if (generator := getattr(each, "generator", None)) is not None:
                    generator.manual_seed(self._seed(0))
                if hasattr(each, "set_epoch"):
                    each.set_epoch(self.epoch)
            if type(loader.batch_sampler) is not BatchSampler:
                # a custom batch sampler, or samples that are batches already
                return self._share(list(loader.batch_sampler or loader.sampler))
            own = self._share(list(loader.sampler))
        return list(BatchSampler(own, loader.batch_sampler.batch_size, loader.batch_sampler.drop_last))

    def _share(self, whole: list[Any]) -> list[Any]:
        return whole[self.rank : len(whole) - len(whole) % self.world_size : self.world_size]

    def _seed(self, *purpose: int) -> int:
        return derived_seed(self.seed, self.epoch, *purpose)


class SeededBatches(Dataset):
    """Reads and collates a whole batch under the seed that comes with its indices, in a worker or not."""

    def __init__(self, loader: DataLoader) -> None:
        self.dataset = loader.dataset
        self.collate = loader.collate_fn
        self.single = loader.batch_sampler is None  # each sample is already a batch

    def __getitems__(self, key: tuple[int, Any]) -> Any:
        seed, indices = key
        with seeded(seed):
            if self.single:
                return self.collate(self.dataset[indices])
            if hasattr(self.dataset, "__getitems__"):
                return self.collate(self.dataset.__getitems__(indices))
            return self.collate([self.dataset[index] for index in indices])


def as_it_is(batch: Any) -> Any:
    """Do not collate. A lambda could not be sent to a worker."""
    return batch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from freshly seeded generators, and restore the global ones afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would seed the GPU too
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def replay_training(source: Any, trainer: pl.Trainer, seed: int) -> None:
    """Make `source.train_dataloader()` return a ReplayLoader for each DataLoader that can be replayed.

    Args:
        source: a LightningDataModule, or a LightningModule with its own data.
        trainer: says which process this is when the data are requested.
        seed: see `ReplayLoader`.
    """
    original = source.train_dataloader

    @wraps(original)
    def train_dataloader() -> Any:
        return apply_to_collection(original(), DataLoader, replayed)

    def replayed(loader: DataLoader) -> ReplayLoader | DataLoader:
        if isinstance(loader.dataset, IterableDataset) or trainer.overfit_batches:
            rank_zero_warn(
                "the training data are a stream, or overfit_batches is set: a run that is stopped within an epoch "
                "resumes with other batches than it would have had"
            )
            return loader
        if isinstance(loader.sampler, DistributedSampler):  # it splits the samples already
            return ReplayLoader(loader, seed=seed)
        return ReplayLoader(loader, seed=seed, rank=trainer.global_rank, world_size=trainer.world_size)

    source.train_dataloader = train_dataloader
