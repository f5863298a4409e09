"""Data read by DataLoaders: in any Trainer, with workers or without, and with words for what is wrong."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from datamodules import LoaderDataModule
from lit_models import LitLinear
from runtime.training_loaders import why_not

SIZES = {"train": 40, "val": 10, "test": 7, "predict": 5}


class Noisy(Dataset):
    """A row is its number and some noise that is drawn anew whenever it is read."""

    def __init__(self, num_rows: int) -> None:
        self.num_rows = num_rows

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return torch.tensor([float(row), torch.rand(()).item()]), torch.tensor(row % 2)


class Endless(IterableDataset):
    def __iter__(self) -> Any:
        while True:
            yield torch.zeros(2), torch.tensor(0)


class Rows(LoaderDataModule):
    task, in_shape, out_features = "binary", (2,), 1

    def datasets(self) -> dict[str, Dataset]:
        return {name: Noisy(size) for name, size in SIZES.items()}


def rows_of(loader: Any) -> list[int]:
    return [int(row) for x, _ in loader for row in x[:, 0]]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_each_split_is_read_once_and_only_training_is_shuffled(num_workers: int) -> None:
    data = Rows(batch_size=8, eval_batch_size=4, num_workers=num_workers)
    data.setup()
    train = rows_of(data.train_dataloader())
    assert sorted(train) == list(range(SIZES["train"]))
    assert train != sorted(train)
    for name in ("val", "test", "predict"):
        loader = getattr(data, f"{name}_dataloader")()
        assert rows_of(loader) == list(range(SIZES[name]))
        assert loader.persistent_workers == (num_workers > 0)
        assert not loader.pin_memory


def test_its_loaders_can_be_replayed() -> None:
    data = Rows(num_workers=2)
    data.setup()
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    assert why_not(data.train_dataloader(), trainer) is None


def test_a_plain_trainer_trains_tests_and_predicts(tmp_path: Path) -> None:
    data = Rows(batch_size=8, num_workers=2)
    model = LitLinear(in_shape=data.in_shape, out_features=data.out_features, task=data.task)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(default_root_dir=tmp_path, max_epochs=2, accelerator="cpu", **quiet)
    trainer.fit(model, datamodule=data)
    assert trainer.global_step == 10
    assert 0 <= trainer.test(model, datamodule=data, verbose=False)[0]["test/accuracy"] <= 1
    predicted = trainer.predict(model, datamodule=data)
    assert [len(batch["prediction"]) for batch in predicted or []] == [5]


def test_a_stream_is_not_shuffled() -> None:
    class Stream(Rows):
        def datasets(self) -> dict[str, Dataset]:
            return {"train": Endless()}

    data = Stream(batch_size=3, num_workers=0)
    data.setup()
    assert next(iter(data.train_dataloader()))[0].shape == (3, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "data.num_workers is -1; it must be at least 0"),
        ({"batch_size": 0}, "data.batch_size is 0; it must be at least 1"),
        ({"eval_batch_size": 0}, "data.eval_batch_size is 0; it must be at least 1"),
        ({"prefetch_factor": 0}, "data.prefetch_factor is 0; it must be at least 1"),
    ],
)
def test_wrong_options_are_named(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rows(**options)


def test_an_empty_split_and_a_missing_one_are_named() -> None:
    class Odd(Rows):
        def datasets(self) -> dict[str, Dataset]:
            return {"train": TensorDataset(torch.zeros(4, 2)), "val": TensorDataset(torch.zeros(0, 2))}

    with pytest.raises(ValueError, match="the val split of Odd is empty; check its data options"):
        Odd().setup()

    data = Rows()
    data.splits = {"train": Noisy(4), "val": Noisy(4)}
    with pytest.raises(ValueError, match="Rows has no test split with these options; it has: train, val"):
        data.test_dataloader()


def test_without_datasets_it_says_what_to_implement() -> None:
    with pytest.raises(TypeError, match=r"LoaderDataModule must implement datasets\(\)"):
        LoaderDataModule().setup()
