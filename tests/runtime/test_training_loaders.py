"""Of the loaders that the user's code makes, those that can be replayed are; the others stay, and are named once."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from runtime.errors import UsageError
from runtime.replay import ReplayLoader
from runtime.training_loaders import prepare_predictions, replay_training


class Longer(DataLoader):
    """Yields each batch twice."""

    def __len__(self) -> int:
        return 2 * super().__len__()

    def __iter__(self) -> Iterator[Any]:
        for batch in super().__iter__():
            yield from (batch, batch)


class Stateful(Longer):
    def state_dict(self) -> dict[str, int]:
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        pass


class StatefulStream:
    state_dict, load_state_dict = Stateful.state_dict, Stateful.load_state_dict

    def __iter__(self) -> Iterator[int]:
        return iter(range(3))


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[int]:
        return iter(range(8))


def plain(size: int = 8) -> DataLoader:
    return DataLoader(list(range(size)), batch_size=2, shuffle=True)


def given(loaders: Any, **options: Any) -> Any:
    """What the Trainer gets for what the user's `train_dataloader` returns."""
    source = SimpleNamespace(train_dataloader=lambda: loaders)
    trainer: Any = SimpleNamespace(
        **{"global_rank": 0, "world_size": 1, "current_epoch": 0, "overfit_batches": 0, **options},
        fit_loop=SimpleNamespace(
            _data_fetcher=None,
            epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(ready=0))),
        ),
    )
    replay_training(source, trainer, seed=1)
    return source.train_dataloader()


@pytest.mark.parametrize("loader", [Stateful(range(8)), ReplayLoader(plain())])
def test_a_loader_that_resumes_by_itself_stays_without_a_word(loader: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert given(loader) is loader


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (Longer(range(8)), "is a Longer of its own kind.* resumes with other batches"),
        (range(8), "is a range of its own kind.* resumes with other batches"),
        (DataLoader(Stream()), "the training data are a stream.* resumes with other batches"),
        (StatefulStream(), "StatefulStream has no length, so one batch is read ahead"),
    ],
)
def test_a_loader_that_cannot_be_replayed_stays_and_is_named(loader: Any, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        assert given(loader) is loader


def test_it_is_named_once() -> None:
    source = SimpleNamespace(train_dataloader=lambda: [Longer(range(8)), Longer(range(4))])
    replay_training(source, SimpleNamespace(overfit_batches=0), seed=1)  # type: ignore[arg-type]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(2):
            source.train_dataloader()
    assert [each.category for each in seen].count(UserWarning) == 1


def test_several_loaders_keep_their_form_and_draw_differently() -> None:
    for loaders in ({"a": plain(), "b": plain()}, [plain(), plain()]):
        found = given(loaders)
        assert type(found) is type(loaders)
        both = list(found.values()) if isinstance(found, dict) else found
        assert all(isinstance(each, ReplayLoader) for each in both)
        first, second = (torch.cat(list(each)).tolist() for each in both)
        assert first != second
        assert sorted(first) == sorted(second) == list(range(8))


def test_a_combined_loader_stays_one() -> None:
    combined = CombinedLoader({"a": plain(8), "b": plain(4)}, "min_size")
    assert given(combined) is combined
    assert all(isinstance(each, ReplayLoader) for each in combined.flattened)
    assert len(list(combined)) == 2


def test_the_epoch_is_the_trainers() -> None:
    orders = [torch.cat(list(given(plain(20), current_epoch=epoch))).tolist() for epoch in (0, 1, 1)]
    assert orders[0] != orders[1] == orders[2]


@pytest.mark.parametrize(
    "loader",
    [
        plain(2),
        DataLoader(list(range(8)), batch_sampler=[[0, 1], [2, 3]]),
        DataLoader(list(range(8)), 4, drop_last=True),
    ],
)
def test_training_data_that_give_no_process_a_batch_are_refused(loader: DataLoader) -> None:
    given(loader, world_size=1)
    given(loader, world_size=2)
    for loaders in (loader, {"a": plain(8), "b": loader}):
        with pytest.raises(UsageError, match=r"too few for 3 processes: none gets a whole batch; use fewer"):
            given(loaders, world_size=3)


@pytest.mark.parametrize(("size", "processes"), [(1, 1), (2, 2), (0, 2)])
def test_enough_samples_to_predict(size: int, processes: int) -> None:
    source = SimpleNamespace(predict_dataloader=lambda: [DataLoader(list(range(size)))])
    prepare_predictions(source, cast(Any, SimpleNamespace(world_size=processes)))
    assert len(source.predict_dataloader()[0]) == size


def test_fewer_samples_to_predict_than_processes_are_refused() -> None:
    """Lightning's sampler would fail in the last process, and the first would wait for it."""
    source = SimpleNamespace(predict_dataloader=lambda: DataLoader([0]))
    prepare_predictions(source, cast(Any, SimpleNamespace(world_size=2)))
    with pytest.raises(UsageError, match="there are 1 samples to predict for 2 processes"):
        source.predict_dataloader()


def test_a_loader_with_positional_arguments_predicts(tmp_path: Path) -> None:
    class Numbers(pl.LightningDataModule):
        def predict_dataloader(self) -> DataLoader:
            return DataLoader(TensorDataset(torch.arange(10.0)), 4)

    class Echo(pl.LightningModule):
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return batch[0]

    data, trainer = Numbers(), pl.Trainer(default_root_dir=tmp_path, logger=False, enable_progress_bar=False)
    prepare_predictions(data, trainer)
    predicted = trainer.predict(Echo(), data)
    assert torch.cat(cast(Any, predicted)).tolist() == list(range(10))
    assert len(cast(Any, predicted)) == 3
