"""What the loaders share: an order that can be replayed, and a place in it to resume from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np


class ResumableLoader(ABC):
    """Deals batches in an order that is a pure function of (seed, epoch), and resumes where a state was taken.

    A subclass says how an epoch is cut into batches, and makes them from a given one on.

    Args:
        seed: of the order.
        rank, world_size: this process and how many there are.
    """

    def __init__(self, *, seed: int, rank: int, world_size: int) -> None:
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.epoch = 0
        self._next_batch = 0  # of the running epoch
        self._resume_at = 0  # where the next iteration begins; 0 unless a state was loaded

    @abstractmethod
    def __len__(self) -> int:
        """Batches of an epoch."""

    @abstractmethod
    def cut(self) -> dict[str, int]:
        """What decides which samples a batch has: a state from an epoch with other values is of no use."""

    @abstractmethod
    def batches_from(self, first: int) -> Iterator[Any]:
        """The batches of the epoch without those before number `first`."""

    @property
    def batch_sampler(self) -> SimpleNamespace:
        """Before each epoch Lightning calls `set_epoch` of `batch_sampler.sampler`."""
        return SimpleNamespace(sampler=self)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; a second call with the same number changes nothing."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._next_batch = self._resume_at = 0

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: the epoch, how many of its batches have been handed out, and how they were cut."""
        return {"epoch": self.epoch, "next_batch": self._next_batch, **self.cut()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration resume where `state` was taken.

        Raises:
            ValueError: if that was inside an epoch that was cut into other batches.
        """
        now = self.cut()
        odd = [name for name in now if state.get(name, now[name]) != now[name]] if state["next_batch"] else []
        if odd:
            seen = ", ".join(f"{name} {state[name]}, now {now[name]}" for name in odd)
            raise ValueError(
                f"the checkpoint was saved inside an epoch of other batches ({seen}); an epoch is finished with the data "
                "options and the number of processes that it began with"
            )
        self.epoch = state["epoch"]
        self._resume_at = state["next_batch"]

    def __iter__(self) -> Iterator[Any]:
        # A generator's body runs at its first batch: an iterator made and thrown away changes nothing.
        self._next_batch, self._resume_at = self._resume_at, 0
        for batch in self.batches_from(self._next_batch):
            self._next_batch += 1  # before the batch is handed out: a checkpoint after its step is right
            yield batch


def derived_seed(*numbers: int) -> int:
    """A seed for one purpose out of those of the whole, such as (seed, epoch); NumPy's SeedSequence mixes them."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
