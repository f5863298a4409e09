"""The loader deals every row once, in an order that can be replayed on any number of processes."""

from itertools import chain, islice

import pytest
import torch

from datamodules.loader import TensorLoader


def make_loader(num_rows=50, **options):
    options = {"batch_size": 8, "shuffle": True, "seed": 3} | options
    rows = torch.arange(num_rows)
    return TensorLoader((rows.float()[:, None], rows), **options)


def rows_seen(batches):
    return [batch[1].tolist() for batch in batches]


@pytest.mark.parametrize("num_rows", [1, 2, 7, 8, 9, 50, 64, 65])
@pytest.mark.parametrize("batch_size", [1, 3, 8, 100, None])
@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_evaluation_sees_each_row_once_on_any_number_of_processes(num_rows, batch_size, world_size):
    loaders = [
        make_loader(num_rows, batch_size=batch_size, shuffle=False, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    batches = [rows_seen(loader) for loader in loaders]
    assert sorted(row for rank in batches for batch in rank for row in batch) == list(range(num_rows))
    assert {len(rank) for rank in batches} == {len(loaders[0])}  # else a process would wait for ever
    if num_rows >= world_size:
        assert all(batch for rank in batches for batch in rank)


@pytest.mark.parametrize(
    ("num_rows", "batch_size", "world_size"), [(50, 8, 2), (51, 8, 2), (64, 8, 4), (50, None, 2)]
)
def test_training_deals_equal_batches_without_repetition(num_rows, batch_size, world_size):
    ranks = [
        rows_seen(make_loader(num_rows, batch_size=batch_size, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    for step in zip(*ranks, strict=True):
        assert len({len(batch) for batch in step}) == 1
    seen = [row for rank in ranks for batch in rank for row in batch]
    assert len(seen) == len(set(seen)) == num_rows - num_rows % world_size


def test_two_processes_see_in_each_step_what_one_sees_with_twice_the_batch():
    one = rows_seen(make_loader(batch_size=16))
    two = [rows_seen(make_loader(batch_size=8, rank=rank, world_size=2)) for rank in (0, 1)]
    for together, first, second in zip(one, *two, strict=True):
        assert sorted(together) == sorted(first + second)


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("stop_after", [0, 1, 4, 6])
def test_going_on_after_a_stop_gives_the_same_batches(passes, stop_after):
    whole = make_loader(passes=passes)
    whole.set_epoch(2)
    expected = rows_seen(whole)

    stopped = make_loader(passes=passes)
    stopped.set_epoch(2)
    before = rows_seen(islice(stopped, stop_after))
    resumed = make_loader(passes=passes)
    resumed.load_state_dict(stopped.state_dict())
    resumed.set_epoch(2)
    assert before + rows_seen(resumed) == expected


def test_after_the_resumed_epoch_the_next_one_is_whole():
    loader = make_loader()
    loader.load_state_dict({"epoch": 2, "next_batch": 5})
    assert len(rows_seen(loader)) == len(loader) - 5
    loader.set_epoch(3)
    fresh = make_loader()
    fresh.set_epoch(3)
    assert rows_seen(loader) == rows_seen(fresh)


def test_a_state_from_another_epoch_does_not_shorten_this_one():
    loader = make_loader()
    loader.load_state_dict({"epoch": 2, "next_batch": len(loader)})
    loader.set_epoch(3)
    assert len(rows_seen(loader)) == len(loader)


def test_an_iteration_that_was_broken_off_starts_over():
    loader = make_loader()
    first = rows_seen(islice(loader, 3))
    assert rows_seen(loader)[:3] == first


def test_an_iterator_that_is_never_advanced_changes_nothing():
    loader = make_loader()
    loader.load_state_dict({"epoch": 0, "next_batch": 5})
    iter(loader)
    assert len(rows_seen(loader)) == len(loader) - 5


@pytest.mark.parametrize("change", [{"seed": 4}, {"epoch": 1}])
def test_the_order_depends_on_seed_and_epoch_only(change):
    torch.manual_seed(1)
    expected = rows_seen(make_loader())
    torch.manual_seed(2)
    assert rows_seen(make_loader()) == expected
    other = make_loader(seed=change.get("seed", 3))
    other.set_epoch(change.get("epoch", 0))
    assert rows_seen(other) != expected
    assert sorted(chain(*rows_seen(other))) == sorted(chain(*expected))


def test_drawing_an_order_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    rows_seen(make_loader())
    assert torch.equal(torch.get_rng_state(), before)


def test_passes_repeat_the_rows_in_new_orders():
    loader = make_loader(num_rows=16, passes=3)
    batches = rows_seen(loader)
    assert len(batches) == len(loader) == 6
    orders = [list(chain(*batches[start : start + 2])) for start in (0, 2, 4)]
    assert all(sorted(order) == list(range(16)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("options", [{}, {"batch_size": None}, {"shuffle": False}])
def test_the_parts_of_a_row_stay_together_and_the_transform_sees_all_of_them(options):
    def doubled(parts):
        inputs, rows = parts
        return 2 * inputs, rows + 1000

    for inputs, rows in make_loader(transform=doubled, **options):
        assert torch.equal(inputs[:, 0], 2 * (rows - 1000).float())
