"""Batches of tensors held in memory: one `index_select` per batch, in an order that can be replayed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from datamodules.resumable import ResumableLoader, derived_seed, global_batches


@dataclass(frozen=True)
class Rows:
    """A batch that is not gathered yet.

    Args:
        loader: that made it.
        numbers: its rows (B,), on the device of the data; None if the batch is always all rows as they are stored.
    """

    loader: "TensorLoader"
    numbers: Tensor | None

    def gather(self, numbers: Tensor | None = None) -> tuple[Tensor, ...]:
        """The batch; `numbers` (B,) takes the place of its own rows."""
        rows = self.numbers if numbers is None else numbers
        tensors = self.loader.tensors
        parts = tensors if rows is None else tuple(tensor.index_select(0, rows) for tensor in tensors)
        return self.loader.finished(parts)


class TensorLoader(ResumableLoader):
    """Iterate over the rows of `tensors` in batches.

    It replaces a `torch.utils.data.DataLoader`, and differs in three ways.
    - Speed: a batch is one gather from tensors that may already be on the accelerator; Python never touches
      single rows.
    - Replay: the order is a pure function of `(seed, epoch)`, drawn from its own generator, and a loader that
      stopped inside an epoch resumes there (`state_dict`, `load_state_dict`).
    - Processes: the order is cut into global batches of `batch_size * world_size` rows, and each rank takes its
      share. So in every step two processes with 32 rows each see the same 64 rows as one process with 64. In
      evaluation every row is seen exactly once, whatever the number of processes.

    Args:
        tensors: the parts of a batch; all have the same length N.
        batch_size: rows per batch and process; None takes all N rows at once.
        shuffle: draw a new order for each pass. Training loaders shuffle, and drop the (fewer than
            `world_size`) rows that cannot be divided evenly; evaluation loaders keep the order
            and drop nothing.
        seed: of the order.
        passes: how often an epoch goes through the rows. One epoch of Lightning costs some milliseconds,
            so a data set of one batch needs many passes.
        transform: applied to each batch, on the device that holds it.
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
        transform: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(seed=seed, rank=rank, world_size=world_size)
        self.tensors = tensors
        self.num_rows = len(tensors[0])
        self.global_batch_size = self.num_rows if batch_size is None else batch_size * world_size
        self.shuffle = shuffle
        self.passes = passes
        self.transform = transform
        self.defers = False  # whether a batch may come as `Rows`, which the one who asks for it gathers
        assert all(len(tensor) == self.num_rows for tensor in tensors)

    def cut(self) -> dict[str, int]:
        return {
            "rows": self.num_rows,
            "rows_per_step": self.global_batch_size,
            "passes": self.passes,
            "seed": self.seed,
        }

    def __len__(self) -> int:
        return self.passes * len(self._batch_bounds())

    def batches_from(self, first: int) -> Iterator[Any]:
        bounds = self._batch_bounds()
        order_pass, order = -1, None
        for number in range(first, self.passes * len(bounds)):
            pass_index, batch_index = divmod(number, len(bounds))
            if pass_index != order_pass:
                order_pass, order = pass_index, self._order(pass_index)
            yield self._batch(order, *bounds[batch_index])

    def _batch_bounds(self) -> list[tuple[int, int]]:
        """First and last row (exclusive) of every global batch, as positions in the order."""
        num_rows = self.num_rows
        if self.shuffle:
            num_rows -= num_rows % self.world_size
        # If the last batch had fewer rows than processes, some would wait.
        return global_batches(num_rows, self.global_batch_size, self.world_size)

    def _order(self, pass_index: int) -> Tensor | None:
        """Row numbers (N,) of one pass; None if rows come as they are stored."""
        all_at_once = self.global_batch_size >= self.num_rows and self.world_size == 1
        if not self.shuffle or all_at_once:
            return None
        seed = derived_seed(self.seed, self.epoch * self.passes + pass_index)
        order = torch.randperm(self.num_rows, generator=torch.Generator().manual_seed(seed))
        return order.to(self.tensors[0].device)

    def _batch(self, order: Tensor | None, start: int, stop: int) -> Any:
        """This process's rows of the global batch `order[start:stop]`."""
        own = slice(start + self.rank, stop, self.world_size)
        if order is not None:
            rows = Rows(self, order[own])
            return rows if self.defers else rows.gather()
        if self.defers and stop - start == self.num_rows and self.world_size == 1:
            return Rows(self, None)
        return self.finished(tuple(tensor[own] for tensor in self.tensors))

    def finished(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """A gathered batch as it leaves the loader."""
        return parts if self.transform is None else self.transform(parts)
