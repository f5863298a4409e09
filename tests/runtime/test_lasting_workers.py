"""Workers that stay alive take their seed from a generator of their own; those started in each epoch do not."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from runtime.evaluation_loaders import share_evaluation
from runtime.training_loaders import replay_training

ROWS = TensorDataset(torch.arange(8))


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(range(8))


class Own(DataLoader):
    """A subclass, which is never replayed."""


def trainer_at(epoch: int, world_size: int = 1) -> Any:
    connector = SimpleNamespace(use_distributed_sampler=True)
    batches = SimpleNamespace(current=SimpleNamespace(ready=0))
    return SimpleNamespace(
        global_rank=0,
        world_size=world_size,
        current_epoch=epoch,
        overfit_batches=0,
        _accelerator_connector=connector,
        fit_loop=SimpleNamespace(_data_fetcher=None, epoch_loop=SimpleNamespace(batch_progress=batches)),
    )


def prepared(loader: Any, stage: str, trainer: Any) -> Any:
    """The loader that the Trainer gets for one that the user makes."""
    source = SimpleNamespace(**dict.fromkeys(("train_dataloader", "val_dataloader", "test_dataloader")))
    setattr(source, stage, lambda: loader)
    if stage == "train_dataloader":
        replay_training(source, trainer, seed=1)
    else:
        source.test_dataloader = source.val_dataloader = lambda: loader
        share_evaluation(source, trainer)
    return getattr(source, stage)()


def draws(loader: Any) -> bool:
    """Whether making an iterator changes the global random state."""
    before = torch.get_rng_state()
    next(iter(loader))
    return not torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore:.*(stream|of its own kind)")
@pytest.mark.parametrize(
    ("make", "stage"),
    [
        (lambda **options: DataLoader(ROWS, **options), "val_dataloader"),
        (lambda **options: DataLoader(ROWS, **options), "test_dataloader"),
        (lambda **options: Own(ROWS, **options), "val_dataloader"),
        (lambda **options: DataLoader(Stream(), **options), "val_dataloader"),
        (lambda **options: DataLoader(Stream(), **options), "train_dataloader"),
        (lambda **options: Own(ROWS, **options), "train_dataloader"),
    ],
)
def test_new_workers_leave_the_global_random_state_alone(make: Any, stage: str) -> None:
    options = {"num_workers": 1, "persistent_workers": True}
    assert draws(make(**options))
    assert not draws(prepared(make(**options), stage, trainer_at(0)))


def test_of_several_processes_too() -> None:
    loader = DataLoader(ROWS, num_workers=1, persistent_workers=True)
    assert not draws(prepared(loader, "val_dataloader", trainer_at(0, world_size=2)))


@pytest.mark.parametrize("options", [{}, {"num_workers": 1}])
def test_loaders_that_draw_a_seed_in_each_epoch_stay_as_they_are(options: dict[str, Any]) -> None:
    loader = prepared(DataLoader(ROWS, **options), "val_dataloader", trainer_at(0))
    assert loader.generator is None
    assert draws(loader)


def test_a_generator_of_the_users_is_kept() -> None:
    own = torch.Generator()
    loader = DataLoader(ROWS, num_workers=1, persistent_workers=True, generator=own)
    assert prepared(loader, "val_dataloader", trainer_at(0)).generator is own


def test_each_loader_and_each_epoch_has_seeds_of_its_own() -> None:
    def seeds(epoch: int) -> list[int]:
        given = [DataLoader(ROWS, num_workers=1, persistent_workers=True) for _ in range(2)]
        return [
            each.generator.initial_seed() for each in prepared(given, "val_dataloader", trainer_at(epoch))
        ]

    assert seeds(0) == seeds(0)
    assert len({*seeds(0), *seeds(3)}) == 4


def test_a_stream_in_such_workers_says_what_resuming_guarantees() -> None:
    loader = DataLoader(Stream(), num_workers=1, persistent_workers=True)
    with pytest.warns(
        UserWarning, match="unless the loader has a state of its own, or its persistent workers draw"
    ):
        prepared(loader, "train_dataloader", trainer_at(0))
