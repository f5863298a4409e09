"""In several processes a foreign loader's rows are evaluated once each, in as many batches in every process."""

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, TensorDataset

from runtime.evaluation_loaders import SharedLoader, share_evaluation

STAGES = ("val_dataloader", "test_dataloader")


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(range(8))


def given(loaders: Any, *, rank: int = 0, world_size: int = 2, spreads: bool = True) -> list[Any]:
    """What the Trainer of one process gets for validation and test."""
    source = SimpleNamespace(**{name: lambda: loaders for name in STAGES})
    connector = SimpleNamespace(use_distributed_sampler=spreads)
    trainer: Any = SimpleNamespace(global_rank=rank, world_size=world_size, _accelerator_connector=connector)
    share_evaluation(source, trainer)
    return [getattr(source, name)() for name in STAGES]


def rows(count: int, **options: Any) -> DataLoader:
    return DataLoader(TensorDataset(torch.arange(count)), batch_size=3, **options)


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("count", range(3, 22))
def test_each_row_is_seen_once(count: int, world_size: int) -> None:
    for stage in (0, 1):
        shares = [given(rows(count), rank=rank, world_size=world_size)[stage] for rank in range(world_size)]
        batches = [[batch[0].tolist() for batch in share] for share in shares]
        seen = [row for share in batches for batch in share for row in batch]
        assert sorted(seen) == list(range(count))
        assert len({len(share) for share in batches}) == 1
        assert [len(share) for share in shares] == [len(share) for share in batches]
        assert all(batch for share in batches for batch in share)


def test_workers_and_the_users_collate_read_the_share() -> None:
    loader = rows(7, num_workers=1, collate_fn=lambda samples: [int(row) + 100 for (row,) in samples])
    assert list(given(loader, rank=1)[0]) == [[101, 103, 105]]


def test_it_answers_as_the_loader_does() -> None:
    loader = rows(7)
    share = given(loader)[0]
    assert isinstance(share, SharedLoader)
    assert share.dataset is loader.dataset
    assert share.batch_size == 3


def test_several_loaders_keep_their_structure() -> None:
    shared = given([rows(7), rows(4)])[0]
    assert [sum(len(batch[0]) for batch in each) for each in shared] == [4, 2]
    combined = CombinedLoader({"a": rows(7)}, "sequential")
    assert given(combined)[0] is combined
    assert isinstance(combined.flattened[0], SharedLoader)


@pytest.mark.parametrize("options", [{"world_size": 1}, {"spreads": False}])
def test_one_process_or_no_spreading_leaves_loaders_alone(options: dict[str, Any]) -> None:
    loader = rows(7)
    assert given(loader, **options) == [loader, loader]


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (rows(7, sampler=RandomSampler(range(7))), "repeats some of them until all processes have as many"),
        (rows(7, drop_last=True), "repeats some of them"),
        (rows(1), "repeats some of them"),
        (DataLoader(Stream()), "each of the 2 processes reads the whole DataLoader"),
        (range(8), "each of the 2 processes reads the whole range"),
    ],
)
def test_what_cannot_be_shared_stays_and_is_named(loader: Any, message: str) -> None:
    with pytest.warns(UserWarning, match=f"val_dataloader: .*{message}"):
        assert given(loader) == [loader, loader]


def test_a_sampler_of_the_users_decides_for_itself() -> None:
    sampler = torch.utils.data.DistributedSampler(range(7), num_replicas=2, rank=0)
    loader = rows(7, sampler=sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert given(loader) == [loader, loader]
