"""The tensors of a batch, whatever it is made of, and batches from loaders."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

import pytorch_lightning as pl
from lightning_utilities.core.apply_func import apply_to_collection
from pytorch_lightning.utilities import CombinedLoader
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from callbacks.checkup.copying import CannotCheckError

_MOST_BYTES = 64 * 2**20  # of rows that are kept


def leaves(batch: Any) -> list[Tensor]:
    """All tensors in a batch (tuples, lists, dicts, dataclasses), in a fixed order."""
    found: list[Tensor] = []
    apply_to_collection(batch, Tensor, found.append)
    return found


def map_leaves(batch: Any, change: Callable[[int, Tensor], Tensor]) -> Any:
    """The same batch with each tensor replaced by `change(its number in leaves(), tensor)`."""
    numbers = iter(range(len(leaves(batch))))
    return apply_to_collection(batch, Tensor, lambda tensor: change(next(numbers), tensor))


def with_leaf(batch: Any, number: int, tensor: Tensor) -> Any:
    """The same batch with one tensor replaced."""
    return map_leaves(batch, lambda k, old: tensor if k == number else old)


def size_of(batch: Any) -> int:
    """Samples in a batch: the length of its first tensor.

    Raises:
        CannotCheckError: if the batch has no tensor with an axis.
    """
    for leaf in leaves(batch):
        if leaf.ndim:
            return len(leaf)
    raise CannotCheckError("the batch has no tensors")


def same(first: Any, second: Any) -> bool:
    """Whether two batches have the same tensors, bit for bit."""
    pairs = list(zip(leaves(first), leaves(second), strict=False))
    return bool(pairs) and all(a.shape == b.shape and bool((a == b).all()) for a, b in pairs)


def read(loader: Any, limit: int, seconds: float = float("inf")) -> Iterator[Any]:
    """At most `limit` batches of a loader or a collection of loaders, for at most so many seconds.

    Raises:
        CannotCheckError: if reading would use up what the training needs.
    """
    until = time.perf_counter() + seconds
    for number, batch in enumerate(as_one(loader)):
        yield batch
        if number + 1 >= limit or time.perf_counter() > until:
            return


def one_pass(loader: Any, seconds: float) -> Iterator[Any]:
    """The batches of one pass over the data, as far as time and `_MOST_BYTES` allow.

    A loader may go through its data several times in one epoch.
    """
    rows, num_bytes, held = 0, 0, rows_held(loader)
    for batch in read(loader, 10**9, seconds):
        yield batch
        rows += size_of(batch)
        num_bytes += sum(each.nbytes for each in leaves(batch))
        if num_bytes > _MOST_BYTES or (held is not None and rows >= held):
            return


def rows_held(loader: Any) -> int | None:
    """Samples in the loader's data set, or rows of the tensors that it holds; None if it does not say."""
    if isinstance(loader, DataLoader):
        dataset: Any = loader.dataset
        return len(dataset) if loader.batch_sampler is not None and isinstance(dataset, Sized) else None
    parts = [each for each in getattr(loader, "__dict__", {}).values() if isinstance(each, Tensor | tuple)]
    return max((len(each) for each in leaves(parts) if each.ndim), default=None)


def as_one(loader: Any) -> Iterable[Any]:
    """A loader to iterate over, also for a dict or list of loaders.

    Raises:
        CannotCheckError: if it can be read only once.
    """
    if isinstance(loader, CombinedLoader):
        parts = loader.flattened
    elif isinstance(loader, dict | list | tuple):
        loader = CombinedLoader(loader, "max_size_cycle")
        parts = loader.flattened
    else:
        parts = [loader]
    if any(is_used_up(part) for part in parts):
        raise CannotCheckError("the loader can be read only once")
    return (each[0] for each in iter(loader)) if isinstance(loader, CombinedLoader) else loader


def is_used_up(loader: Any) -> bool:
    """Whether reading it takes away from the training: an iterator, or a stream that holds one."""
    if hasattr(loader, "__next__"):
        return True
    dataset = getattr(loader, "dataset", None)
    if not isinstance(loader, DataLoader) or not isinstance(dataset, IterableDataset):
        return False
    return any(hasattr(each, "__next__") for each in (dataset, *vars(dataset).values()))


def to_device(trainer: pl.Trainer, batch: Any) -> Any:
    """A batch as `training_step` gets it."""
    for owner in (trainer.datamodule, trainer.lightning_module):
        if owner is not None and is_overridden("on_before_batch_transfer", owner):
            batch = owner.on_before_batch_transfer(batch, 0)
            break
    batch = trainer.precision_plugin.convert_input(batch)
    return trainer.strategy.batch_to_device(batch, dataloader_idx=0)
