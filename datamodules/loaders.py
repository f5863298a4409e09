"""Data that are read while the network trains, because they do not fit in memory: DataLoaders with workers."""

from collections.abc import Sequence, Sized
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset, IterableDataset


class LoaderDataModule(pl.LightningDataModule):
    """Data sets of PyTorch, whose samples are read and augmented one by one, by workers or between the steps.

    A subclass implements `datasets`. It also says what the data determine in a model, by attributes named like the fields
    of `DataSpec`: at least `task`, `in_shape` and `out_features`. Nothing is normalized here; a data set's transform does
    that.

    Its loaders are plain DataLoaders, so `train.py` can replay them: a resumed run gets the same order and augmentation,
    with any number of workers.

    Args:
        batch_size: samples per step and process.
        eval_batch_size: samples per step and process in validation, test and prediction.
        num_workers: processes that read for each loader; 0 reads between the steps.
        prefetch_factor: batches that each worker reads ahead.
        pin_memory: copy batches into memory from which a GPU can fetch them while it computes; default: if there is one.
    """

    task: str
    in_shape: Sequence[int]
    out_features: int

    def __init__(
        self,
        *,
        batch_size: int = 64,
        eval_batch_size: int = 256,
        num_workers: int = 2,
        prefetch_factor: int = 2,
        pin_memory: bool | None = None,
    ) -> None:
        super().__init__()
        least = {"batch_size": 1, "eval_batch_size": 1, "num_workers": 0, "prefetch_factor": 1}
        given = (batch_size, eval_batch_size, num_workers, prefetch_factor)
        for (name, lowest), value in zip(least.items(), given, strict=True):
            if value < lowest:
                raise ValueError(f"data.{name} is {value}; it must be at least {lowest}")
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.splits: dict[str, Dataset] = {}

    def datasets(self) -> dict[str, Dataset]:
        """The splits "train", "val", "test" and "predict" (those that exist).

        A sample is a pair of input and target. If `id_name` is set, samples of "predict" have an id in the place of the
        target: a number, or a word such as the name of a file.
        """
        raise TypeError(f"{type(self).__name__} must implement datasets()")

    # Lightning's hooks

    def setup(self, stage: str | None = None) -> None:
        """Make the data sets once, whatever the stage and however often Lightning calls this."""
        if self.splits:
            return
        self.splits = self.datasets()
        for name, dataset in self.splits.items():
            if isinstance(dataset, Sized) and len(dataset) == 0:
                raise ValueError(
                    f"the {name} split of {type(self).__name__} is empty; check its data options"
                )

    def train_dataloader(self) -> Any:
        is_stream = isinstance(self.splits.get("train"), IterableDataset)
        return self._loader("train", batch_size=self.batch_size, shuffle=not is_stream)

    def val_dataloader(self) -> Any:
        return self._loader("val", batch_size=self.eval_batch_size)

    def test_dataloader(self) -> Any:
        return self._loader("test", batch_size=self.eval_batch_size)

    def predict_dataloader(self) -> Any:
        return self._loader("predict", batch_size=self.eval_batch_size)

    def reading_options(self) -> dict[str, Any]:
        """How a DataLoader reads, as its own arguments."""
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        options = {
            "num_workers": self.num_workers,
            "pin_memory": on_gpu if self.pin_memory is None else self.pin_memory,
        }
        if self.num_workers == 0:
            return options
        # Starting workers anew in each epoch would take longer than many an epoch.
        return {**options, "prefetch_factor": self.prefetch_factor, "persistent_workers": True}

    def _loader(self, split: str, **options: Any) -> DataLoader:
        if split not in self.splits:
            known = ", ".join(self.splits)
            raise ValueError(
                f"{type(self).__name__} has no {split} split with these options; it has: {known}"
            )
        return DataLoader(self.splits[split], **options, **self.reading_options())
