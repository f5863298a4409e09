"""Batches of tensors held in memory: one `index_select` per batch, in an order that can be replayed."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor


class TensorLoader:
    """Iterate over the rows of `tensors` in batches.

    It stands where a `torch.utils.data.DataLoader` would, and differs in three ways.

    - Speed: a batch is one gather from tensors that may already lie on the accelerator; no row is ever
      touched by Python.
    - Replay: the order is a pure function of `(seed, epoch)`, drawn from a generator of its own, and a
      loader that stopped inside an epoch goes on there (`state_dict`, `load_state_dict`).
    - Processes: the order is cut into global batches of `batch_size * world_size` rows of which each rank
      takes its share, so two processes with 32 rows each see in every step the same 64 rows as one process
      with 64. In evaluation every row is seen exactly once, whatever the number of processes.

    Args:
        tensors: what a batch is made of; all have the same length N.
        batch_size: rows per batch and process; None takes all N rows at once.
        shuffle: draw a new order for each pass. Training loaders shuffle, and drop the (fewer than
            `world_size`) rows that cannot be dealt out evenly; evaluation loaders keep the order
            and drop nothing.
        seed: of the order.
        passes: how often an epoch walks through the rows. One epoch of Lightning costs some milliseconds,
            so a data set of one batch wants many passes.
        transform: applied to the first tensor of each batch, on the device where it lies.
        rank, world_size: this process and how many there are.
    """

    def __init__(
        self,
        tensors: tuple[Tensor, ...],
        *,
        batch_size: int | None,
        shuffle: bool = False,
        seed: int = 0,
        passes: int = 1,
        transform: Callable[[Tensor], Tensor] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.tensors = tensors
        self.num_rows = len(tensors[0])
        self.global_batch_size = self.num_rows if batch_size is None else batch_size * world_size
        self.shuffle = shuffle
        self.seed = seed
        self.passes = passes
        self.transform = transform
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self._next_batch = 0  # of the running epoch
        self._resume_at = 0  # where the next iteration begins; 0 unless a state was loaded
        assert all(len(tensor) == self.num_rows for tensor in tensors)

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
        return {"epoch": self.epoch, "next_batch": self._next_batch, **self._cut()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration go on where `state` was taken.

        Raises:
            ValueError: if that was inside an epoch that was cut into other batches.
        """
        now = self._cut()
        odd = [name for name in now if state.get(name, now[name]) != now[name]] if state["next_batch"] else []
        if odd:
            seen = ", ".join(f"{name} {state[name]}, now {now[name]}" for name in odd)
            raise ValueError(
                f"the checkpoint was saved inside an epoch of other batches ({seen}); an epoch is finished with the data "
                "options and the number of processes that it began with"
            )
        self.epoch = state["epoch"]
        self._resume_at = state["next_batch"]

    def _cut(self) -> dict[str, int]:
        return {
            "rows": self.num_rows,
            "rows_per_step": self.global_batch_size,
            "passes": self.passes,
            "seed": self.seed,
        }

    def __len__(self) -> int:
        return self.passes * len(self._batch_bounds())

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        # A generator's body runs at its first batch: an iterator made and thrown away changes nothing.
        bounds = self._batch_bounds()
        self._next_batch, self._resume_at = self._resume_at, 0
        order_pass, order = -1, None
        while self._next_batch < self.passes * len(bounds):
            pass_index, batch_index = divmod(self._next_batch, len(bounds))
            if pass_index != order_pass:
                order_pass, order = pass_index, self._order(pass_index)
            batch = self._gather(order, *bounds[batch_index])
            self._next_batch += 1  # before the batch is handed out: a checkpoint after its step is right
            yield batch

    def _batch_bounds(self) -> list[tuple[int, int]]:
        """First and last row (exclusive), in the order, of every global batch."""
        num_rows = self.num_rows
        if self.shuffle:
            num_rows -= num_rows % self.world_size
        cuts = [*range(0, num_rows, self.global_batch_size), num_rows]
        # A last batch with fewer rows than processes would leave some waiting: the one before takes it in.
        if len(cuts) > 2 and cuts[-1] - cuts[-2] < self.world_size:
            del cuts[-2]
        return list(pairwise(cuts))

    def _order(self, pass_index: int) -> Tensor | None:
        """Row numbers (N,) of one pass; None where rows come as they are stored."""
        all_at_once = self.global_batch_size >= self.num_rows and self.world_size == 1
        if not self.shuffle or all_at_once:
            return None
        entropy = (self.seed, self.epoch * self.passes + pass_index)
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        order = torch.randperm(self.num_rows, generator=torch.Generator().manual_seed(seed))
        return order.to(self.tensors[0].device)

    def _gather(self, order: Tensor | None, start: int, stop: int) -> tuple[Tensor, ...]:
        """This process's rows of the global batch `order[start:stop]`."""
        own = slice(start + self.rank, stop, self.world_size)
        if order is None:
            first, *rest = (tensor[own] for tensor in self.tensors)
        else:
            rows = order[own]
            first, *rest = (tensor.index_select(0, rows) for tensor in self.tensors)
        return (first if self.transform is None else self.transform(first), *rest)
