"""A foreign DataLoader resumes within an epoch, with any number of workers and processes."""

import copy
import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    WeightedRandomSampler,
    get_worker_info,
)

from runtime.replay import ReplayLoader


class Noisy(Dataset):
    """A sample is its index and three random numbers, of the three generators."""

    def __len__(self) -> int:
        return 23

    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(()).item()])


def noisy_collate(samples: list[Tensor]) -> Tensor:
    return torch.stack(samples) + torch.tensor([0, 0, 0, 1]) * torch.rand(())


class Pairs(BatchSampler):
    """A batch sampler of one's own."""

    def __init__(self) -> None:
        pass

    def __len__(self) -> int:
        return 11

    def __iter__(self):
        order = torch.randperm(22).tolist()
        return iter([order[start : start + 2] for start in range(0, 22, 2)])


class OwnGenerator(Noisy):
    """Draws from a generator of its own, as current NumPy practice is."""

    def __init__(self) -> None:
        self.transforms = [np.random.default_rng()]

    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor([index, *self.transforms[0].standard_normal(3)], dtype=torch.float32)


class Own(Sampler):
    """A sampler with an order of its own kind."""

    def __init__(self) -> None:
        self.count = 0
        self.rng = random.Random()
        self.generator = np.random.default_rng()
        self.order = list(range(23))

    def __len__(self) -> int:
        return 23

    def __iter__(self) -> Iterator[int]:
        self.count += 1
        return iter(np.random.RandomState(self.count).permutation(23).tolist())


class FromRandom(Own):
    def __iter__(self) -> Iterator[int]:
        return iter(self.rng.sample(range(23), 23))


class FromNumPy(Own):
    def __iter__(self) -> Iterator[int]:
        return iter(self.generator.permutation(23).tolist())


class ShufflesItsList(Own):
    def __iter__(self) -> Iterator[int]:
        random.shuffle(self.order)
        return iter([*self.order])


class SavesItself(Own):
    def __iter__(self) -> Iterator[int]:
        self.__dict__["state"] = [str(int(self.state_dict()["state"]) + 1)]
        return iter(np.random.RandomState(int(self.state[0])).permutation(23).tolist())

    def state_dict(self) -> dict[str, str]:
        return {"state": self.__dict__.get("state", ["0"])[0]}

    def load_state_dict(self, state: dict[str, str]) -> None:
        self.__dict__["state"] = [state["state"]]


class Endless(Sampler):
    def __iter__(self) -> Iterator[int]:
        while True:
            yield from torch.randperm(23).tolist()


OWN = [Own, FromRandom, FromNumPy, ShufflesItsList, SavesItself]
KINDS: dict[str, dict[str, Any]] = {
    "shuffled": {"batch_size": 4, "shuffle": True},
    "in order": {"batch_size": 4},
    "last dropped": {"batch_size": 4, "shuffle": True, "drop_last": True},
    "own generator": {"batch_size": 4, "shuffle": True, "generator": torch.Generator().manual_seed(3)},
    "weighted": {"batch_size": 4, "sampler": WeightedRandomSampler(torch.arange(23.0), 20)},
    "with replacement": {
        "batch_size": 4,
        "sampler": RandomSampler(range(23), replacement=True, num_samples=20),
    },
    "own batches": {"batch_sampler": Pairs()},
    "no batches": {"batch_size": None, "sampler": SequentialSampler(range(23))},
    "own generator inside": {"dataset": OwnGenerator(), "batch_size": 4, "shuffle": True},
    "noisy collate": {"batch_size": 4, "shuffle": True, "collate_fn": noisy_collate},
}


def replay(kind: str = "shuffled", epoch: int = 2, num_workers: int = 0, **options: Any) -> ReplayLoader:
    loader = ReplayLoader(
        DataLoader(**{"dataset": Noisy(), "num_workers": num_workers, **KINDS[kind]}), **options
    )
    loader.set_epoch(epoch)
    return loader


def assert_same(first: list[Tensor], second: list[Tensor]) -> None:
    assert len(first) == len(second)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_after_a_stop_gives_the_same_batches(kind: str) -> None:
    expected = list(replay(kind))
    assert len(expected) == len(replay(kind)) > 0
    stopped = replay(kind)
    before = list(islice(stopped, 3))
    torch.manual_seed(random.randrange(1000))  # what others draw does not matter
    resumed = replay(kind, epoch=0)
    resumed.load_state_dict(stopped.state_dict())
    resumed.set_epoch(2)
    iter(resumed)  # Lightning makes one more than it uses
    assert_same(expected, before + list(resumed))
    resumed.set_epoch(3)
    assert_same(list(replay(kind, epoch=3)), list(resumed))


def test_any_number_of_workers_gives_the_same_batches() -> None:
    expected = list(replay("noisy collate"))
    two = replay("noisy collate", num_workers=2)
    assert_same(expected, list(two))
    stopped = replay("noisy collate", num_workers=2)
    before = list(islice(stopped, 2))
    assert stopped.state_dict()["next_batch"] == 2  # not what the workers have read ahead
    resumed = replay("noisy collate", num_workers=2)
    resumed.load_state_dict(stopped.state_dict())
    assert_same(expected, before + list(resumed))


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}, {"rank": 1, "world_size": 2}])
def test_order_and_noise_depend_on_seed_epoch_and_process(change: dict[str, int]) -> None:
    batches, others = torch.cat(list(replay())), torch.cat(list(replay(**change)))
    assert batches[:, 0].tolist() != others[:, 0].tolist()
    assert not set(batches[:, 3].tolist()) & set(others[:, 3].tolist())


def test_the_global_generators_are_left_alone() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    list(replay())
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("kind", ["shuffled", "in order", "weighted", "own batches", "last dropped"])
def test_processes_share_what_one_would_see(kind: str) -> None:
    ranks = [replay(kind, rank=rank, world_size=2) for rank in (0, 1)]
    batches = [list(loader) for loader in ranks]
    assert [len(each) for each in batches] == [len(loader) for loader in ranks]
    assert len(batches[0]) == len(batches[1])
    whole = torch.cat(list(replay(kind.replace("last dropped", "shuffled"))))[:, 0].tolist()
    seen = torch.cat([torch.cat(each) for each in batches])[:, 0].tolist()
    assert all(seen.count(index) <= whole.count(index) for index in seen)
    left_out = {"last dropped": 7, "own batches": 2}.get(kind, 1)
    assert len(whole) - len(seen) <= left_out


def test_an_epoch_of_another_length_is_refused() -> None:
    stopped = replay("shuffled")
    next(iter(stopped))
    with pytest.raises(ValueError, match=r"inside an epoch of other batches \(batches 6, now 11\)"):
        replay("own batches").load_state_dict(stopped.state_dict())


def replay_with(sampler: Sampler) -> ReplayLoader:
    return ReplayLoader(DataLoader(Noisy(), batch_size=4, sampler=sampler))


def epochs_of(loader: ReplayLoader, epochs: range) -> list[Tensor]:
    batches = []
    for epoch in epochs:
        loader.set_epoch(epoch)
        batches += list(loader)
    return batches


@pytest.mark.parametrize("make", OWN)
@pytest.mark.parametrize("epochs_before", [0, 2])
@pytest.mark.parametrize("batches_before", [0, 2, 6])
def test_a_sampler_with_a_state_resumes(make: type[Sampler], epochs_before: int, batches_before: int) -> None:
    """6 batches are an epoch: the stop is before, within and after the epoch."""
    expected = epochs_of(replay_with(make()), range(5))
    stopped = replay_with(make())
    before = epochs_of(stopped, range(epochs_before))
    stopped.set_epoch(epochs_before)
    before += list(islice(stopped, batches_before))
    resumed = replay_with(make())
    resumed.load_state_dict(stopped.state_dict())
    after = epochs_of(resumed, range(epochs_before, 5))
    assert_same(expected, before + after)
    assert not torch.equal(expected[0], expected[6])  # another order in each epoch


def test_an_endless_sampler_resumes() -> None:
    expected = list(islice(replay_with(Endless()), 20))
    stopped = replay_with(Endless())
    before = list(islice(stopped, 9))
    resumed = replay_with(Endless())
    resumed.load_state_dict(stopped.state_dict())
    assert_same(expected, before + list(islice(resumed, 11)))
    with pytest.raises(TypeError, match="has no len"):
        len(resumed)


def test_a_batch_that_was_read_ahead_is_read_again() -> None:
    stopped = ReplayLoader(DataLoader(Noisy(), batch_size=4), ahead=lambda: 1)
    assert stopped.state_dict()["next_batch"] == 0
    list(islice(stopped, 3))
    assert stopped.state_dict()["next_batch"] == 2


def test_a_loader_that_starts_over_within_an_epoch_draws_anew() -> None:
    """A shorter loader next to a longer one does."""
    whole, stopped = replay(), replay()
    expected = [*whole, *whole]
    assert not set(expected[0][:, 1].tolist()) & set(torch.cat(expected[6:])[:, 1].tolist())
    before = [*stopped, *islice(stopped, 2)]
    resumed = replay()
    resumed.load_state_dict(stopped.state_dict())
    assert_same(expected, before + list(resumed))


def test_it_answers_as_the_loader_does() -> None:
    loader = DataLoader(Noisy(), batch_size=4, shuffle=True, drop_last=True)
    stand_in = ReplayLoader(loader)
    for name in (
        "dataset",
        "batch_size",
        "sampler",
        "batch_sampler",
        "num_workers",
        "collate_fn",
        "drop_last",
        "pin_memory",
    ):
        assert getattr(stand_in, name) == getattr(loader, name), name
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = stand_in.nothing_of_the_kind
    assert copy.copy(stand_in).batch_size == 4


class AsksTheWorker(Noisy):
    def __getitem__(self, index: int) -> Tensor:
        info = get_worker_info()
        assert info is not None
        return torch.tensor([float(isinstance(info.dataset, AsksTheWorker)), info.dataset.opened])


def open_files(worker_id: int) -> None:
    info = get_worker_info()
    assert info is not None
    info.dataset.opened = 7.0  # type: ignore[attr-defined]


def test_a_worker_shows_the_data_set_itself() -> None:
    loader = DataLoader(AsksTheWorker(), batch_size=23, num_workers=1, worker_init_fn=open_files)
    (batch,) = ReplayLoader(loader)
    assert torch.equal(batch, torch.tensor([[1.0, 7.0]]).expand(23, 2))
