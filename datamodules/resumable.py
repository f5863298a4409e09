"""What the loaders share: an order that can be replayed, and a position from which to resume."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np


class ResumableLoader(ABC):
    """Yields batches in an order that is a pure function of (seed, epoch), and resumes where its state was saved.

    A subclass says how an epoch is cut into batches, and yields them from a given batch on.

    Args:
        seed: of the order.
        rank, world_size: this process and how many there are.
    """

    def __init__(self, *, seed: int, rank: int, world_size: int) -> None:
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.epoch = 0
        self._next_batch = 0  # of the current epoch
        self._resume_at = 0  # first batch of the next iteration; 0 unless a state was loaded

    @abstractmethod
    def __len__(self) -> int:
        """Batches per epoch."""

    @abstractmethod
    def cut(self) -> dict[str, int]:
        """What decides which samples a batch has; a state from an epoch with other values cannot be used."""

    @abstractmethod
    def batches_from(self, first: int) -> Iterator[Any]:
        """The batches of the epoch from number `first` on."""

    @property
    def batch_sampler(self) -> SimpleNamespace:
        """Lightning calls `set_epoch` of `batch_sampler.sampler` before each epoch."""
        return SimpleNamespace(sampler=self)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; a second call with the same number changes nothing."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._next_batch = self._resume_at = 0

    def state_dict(self) -> dict[str, Any]:
        """The position: the epoch, how many of its batches were yielded, and how the epoch was cut."""
        return {"epoch": self.epoch, "next_batch": self._next_batch, **self.cut()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration resume where `state` was saved.

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
        # A generator's body only runs at its first batch, so an iterator that is made and not used changes nothing.
        self._next_batch, self._resume_at = self._resume_at, 0
        for batch in self.batches_from(self._next_batch):
            self._next_batch += 1  # before the yield, so that a checkpoint after the batch's step is right
            yield batch


def global_batches(num_rows: int, size: int, world_size: int) -> list[tuple[int, int]]:
    """First and last row (exclusive) of the batches of all processes together, of `size` rows.

    The last has at least `world_size` rows, if there are as many: if fewer are left, the batch before takes them.
    """
    cuts = [*range(0, num_rows, size), num_rows]
    if len(cuts) > 2 and cuts[-1] - cuts[-2] < world_size:
        del cuts[-2]
    return list(pairwise(cuts))


def derived_seed(*numbers: int) -> int:
    """A seed for one purpose from other numbers, such as (seed, epoch); NumPy's SeedSequence mixes them."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
