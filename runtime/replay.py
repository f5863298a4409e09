"""Make a `torch.utils.data.DataLoader` resume within an epoch and draw the same numbers with any workers."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, get_worker_info

from datamodules.resumable import ResumableLoader, derived_seed
from runtime.generators import OwnRandom, generators_in, reseed, seeded
from runtime.samplers import SamplerState

# What the new loader copies unchanged; this module decides which samples make a batch.
KEPT = (
    "num_workers",
    "pin_memory",
    "timeout",
    "multiprocessing_context",
    "prefetch_factor",
    "persistent_workers",
)


class ReplayLoader(ResumableLoader):
    """Yields the batches of `loader` in an order that is a pure function of (seed, epoch), and answers as `loader` does.

    A DataLoader draws its order, and the seeds of its workers, from the global generator, so a run that resumes within
    an epoch gets other batches. Here the sampler runs under a seed for the epoch. What samples and the collate
    function draw (augmentation) comes from a seed for the batch, also if they draw from generators of their own. So the
    numbers are the same with any number of workers, and a stopped loader resumes at the next batch without reading
    the earlier ones. A sampler that counts, or that has a `state_dict`, gets its state back.

    Args:
        loader: of a data set whose samples have an index; its samplers may be of any kind, even endless.
        seed: of the order, and of what is drawn for each batch.
        rank, world_size: this process and how many there are. Each gets its share of the samples (of the batches,
            if a custom batch sampler makes them); the few that cannot be divided evenly are dropped.
        epoch: gives the epoch when an iteration begins; without it, `set_epoch` does.
        ahead: gives the number of batches that were read and not yet used.
    """

    def __init__(
        self,
        loader: DataLoader,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        epoch: Callable[[], int] | None = None,
        ahead: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(seed=seed, rank=rank, world_size=world_size)
        self.source = loader
        self._current_epoch = epoch
        self._ahead = ahead
        self._pass = (
            0  # how often this epoch's batches were used up; a shorter loader starts over within an epoch
        )
        self._used_up = False
        self._sampler_state = SamplerState(loader)
        self._generators = generators_in(loader.generator, loader.sampler, loader.batch_sampler)
        self._plan = Plan()
        self._loader: DataLoader = DataLoader(
            SeededBatches(loader),
            batch_sampler=self._plan,  # type: ignore[arg-type]
            collate_fn=as_it_is,
            generator=torch.Generator(),  # its own, because a new iterator draws a number
            worker_init_fn=WorkerStart(loader.worker_init_fn),
            **{name: getattr(loader, name) for name in KEPT},
        )

    def __getattr__(self, name: str) -> Any:
        """Anything else is the source's: `dataset`, `batch_size`, `sampler`, `num_workers`."""
        if name == "source":  # while it is copied
            raise AttributeError(name)
        return getattr(self.source, name)

    @property
    def batch_sampler(self) -> Any:
        return self.source.batch_sampler

    def cut(self) -> dict[str, int]:
        try:
            return {"batches": len(self), "seed": self.seed}
        except TypeError:  # an endless sampler
            return {"seed": self.seed}

    def __len__(self) -> int:
        if type(self.source.batch_sampler) is not BatchSampler:
            return len(self.source) // self.world_size
        share = len(self.source.sampler) // self.world_size  # type: ignore[arg-type]
        size = self.source.batch_sampler.batch_size
        return share // size if self.source.batch_sampler.drop_last else -(-share // size)

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self._pass, self._used_up = 0, False
        super().set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        if self._ahead is not None and state["next_batch"] > 0:
            state["next_batch"] -= self._ahead()
        return {**state, "pass": self._pass, "sampler": self._sampler_state.save()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._pass = state.get("pass", 0)
        self._sampler_state.load(state.get("sampler"))

    def __iter__(self) -> Iterator[Any]:
        # Lightning may make several iterators and use the last: each begins where the state says.
        if self._current_epoch is not None:
            self.set_epoch(self._current_epoch())
        if self._used_up:
            self._pass, self._used_up, self._resume_at = self._pass + 1, False, 0
        self._next_batch = self._resume_at
        for batch in self.batches_from(self._next_batch):
            self._next_batch += 1  # before the yield, so that a checkpoint after the batch's step is right
            yield batch
        self._used_up = True

    def batches_from(self, first: int) -> Iterator[Any]:
        self._sampler_state.begin(self.epoch, self._pass)
        batches = islice(enumerate(self._batches()), first, None)
        self._plan.batches = ((self._seed(1, self.rank, number), samples) for number, samples in batches)
        yield from self._loader

    def _batches(self) -> Iterator[Any]:
        """The indices of the samples of each batch of this process and epoch.

        PyTorch's samplers are read at once. Others may be endless, or look at what has been learnt: they are read
        batch by batch, as far as workers read ahead.
        """
        own = OwnRandom(self._seed(0))
        with own:
            loader = self.source
            for generator in self._generators:
                reseed(generator, self._seed(0))
            sources: tuple[Any, ...] = (loader, loader.sampler, loader.batch_sampler)
            for each in sources:
                if hasattr(each, "set_epoch"):
                    each.set_epoch(self.epoch)
            batches = iter(self._in_batches())
            if is_torch(loader.sampler) and is_torch(loader.batch_sampler):
                batches = iter(list(batches))
        while True:
            with own:
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _in_batches(self) -> Iterator[Any]:
        loader = self.source
        if type(loader.batch_sampler) is not BatchSampler:
            # a custom batch sampler, or samples that are batches already
            return self._share(loader.batch_sampler or loader.sampler)
        own: Any = self._share(loader.sampler)
        return iter(BatchSampler(own, loader.batch_sampler.batch_size, loader.batch_sampler.drop_last))

    def _share(self, whole: Any) -> Iterator[Any]:
        """This process's of the samples or batches, dealt one by one; an incomplete last round is dropped."""
        source = iter(whole)
        while len(round_ := list(islice(source, self.world_size))) == self.world_size:
            yield round_[self.rank]

    def _seed(self, *purpose: int) -> int:
        numbers = (*purpose, self._pass) if self._pass else purpose
        return derived_seed(self.seed, self.epoch, *numbers)


class Plan:
    """For each remaining batch its seed and its samples; the loader asks for an iterator of it in every epoch."""

    batches: Iterator[tuple[int, Any]] = iter(())

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        return self.batches


class SeededBatches(Dataset):
    """Reads and collates a whole batch under the seed that comes with its indices, in a worker or not."""

    def __init__(self, loader: DataLoader) -> None:
        self.dataset = loader.dataset
        self.collate = loader.collate_fn
        self.single = loader.batch_sampler is None  # each sample is already a batch
        self._generators: list[Any] | None = (
            None  # the data set's own, searched for in the process that reads
        )

    def __getitems__(self, key: tuple[int, Any]) -> Any:
        seed, indices = key
        if self._generators is None:
            self._generators = generators_in(self.dataset, self.collate)
        with seeded(seed):
            for number, generator in enumerate(self._generators):
                reseed(generator, derived_seed(seed, number))
            if self.single:
                return self.collate(self.dataset[indices])
            if hasattr(self.dataset, "__getitems__"):
                return self.collate(self.dataset.__getitems__(indices))
            return self.collate([self.dataset[index] for index in indices])


class WorkerStart:
    """Show the data set itself to code that asks for the worker's, then call the user's `worker_init_fn`."""

    def __init__(self, call: Callable[[int], None] | None) -> None:
        self.call = call

    def __call__(self, worker_id: int) -> None:
        info = get_worker_info()
        if info is not None and isinstance(info.dataset, SeededBatches):
            object.__setattr__(info, "dataset", info.dataset.dataset)
        if self.call is not None:
            self.call(worker_id)


def as_it_is(batch: Any) -> Any:
    """Do not collate. A lambda could not be sent to a worker."""
    return batch


def is_torch(sampler: Any) -> bool:
    """Whether a sampler is PyTorch's own, or missing."""
    return sampler is None or type(sampler).__module__.startswith("torch.utils.data")
