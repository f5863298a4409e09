"""What all data modules share: seeded splits, normalization fitted on the training split, batched loading."""

import math
from collections.abc import Sequence
from dataclasses import fields
from functools import cached_property
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from datamodules.checks import check_choice as check_choice
from datamodules.checks import check_seed
from datamodules.checks import closest_name as closest_name
from datamodules.loader import TensorLoader
from datamodules.normalization import (
    by_output,
    input_statistics,
    may_be_ids,
    nonzero,
    report_scaled_integers,
    report_tiny_deviations,
)
from datamodules.spec import DataSpec
from datamodules.splits import Split as Split
from datamodules.splits import check_splits, rows_per_evaluation
from datamodules.splits import split_rows as split_rows


class TensorDataModule(pl.LightningDataModule):
    """A data set that fits in memory.

    A subclass implements `load`, which returns the splits as they come from the source. It also says what the data
    determine in a model: it sets `spec`, or, if few fields are needed, sets fields of `DataSpec` as its own attributes,
    at least `task`, `in_shape` and `out_features`. Everything else is here.

    Statistics for normalization come from the training split alone. They are saved in every checkpoint and
    restored from it, so that test and predict use the same normalization as training.

    Args:
        batch_size: rows per step and process; None takes the whole training split as one batch.
        eval_batch_size: the same in validation, test and prediction; None: 1024, or fewer where samples are large (see
            `rows_per_evaluation`).
        passes_per_epoch: how often one epoch goes through the training split (see `TensorLoader`).
        normalize: scale every input column, or every channel of images (N, C, H, W), to mean 0 and deviation 1. Without
            it values stay as they are, as float32; integers other than images stay integers, for an embedding.
        normalize_target: the same for a target that is a real number; metrics stay in the units of the table.
        order_seed: seed for the order of the training batches.
    """

    task: str
    in_shape: Sequence[int]
    out_features: int

    def __init__(
        self,
        *,
        batch_size: int | None = 64,
        eval_batch_size: int | None = None,
        passes_per_epoch: int = 1,
        normalize: bool = True,
        normalize_target: bool = False,
        order_seed: int = 0,
    ) -> None:
        super().__init__()
        sizes = {
            "batch_size": (batch_size, "one full batch"),
            "eval_batch_size": (eval_batch_size, "the default"),
        }
        for name, (value, null) in sizes.items():
            if value is not None and value < 1:
                raise ValueError(f"data.{name} is {value}; it must be at least 1 (or null for {null})")
        if passes_per_epoch < 1:
            raise ValueError(f"data.passes_per_epoch is {passes_per_epoch}; it must be at least 1")
        check_seed("data.order_seed", order_seed)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.passes_per_epoch = passes_per_epoch
        self.normalize = normalize
        self.normalize_target = normalize_target
        self.order_seed = order_seed
        self.splits: dict[str, Split] = {}
        self.statistics: dict[str, Tensor] = {}

    # What a subclass provides

    def load(self) -> dict[str, Split]:
        """Read the data and return the splits "train", "val", "test" and "predict" (those that exist)."""
        raise TypeError(f"{type(self).__name__} must implement load()")

    def fit_statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Means and deviations in the training split.

        Of x (N, ..., F) for each of the F columns, of images (N, C, H, W) for each channel; of y for each of its outputs
        (see `by_output`).
        """
        target = by_output(y.double(), self.spec.out_features)
        mean, std = input_statistics(x)
        if self.normalize:
            report_scaled_integers(x, type(self).__name__)
            report_tiny_deviations(x, mean, std)
        one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        return {
            "input_mean": mean if self.normalize else torch.zeros_like(mean),
            "input_std": nonzero(std) if self.normalize else torch.ones_like(std),
            "target_mean": target.mean(0) if self.normalize_target else zero,
            "target_std": nonzero(target.std(0, correction=0)) if self.normalize_target else one,
        }

    def prepare_inputs(self, x: Tensor) -> Tensor:
        """Turn raw inputs (N, ..., F) into the network's inputs; done once, before the first batch."""
        if not self.normalize and may_be_ids(x):
            return x
        mean, std = self.statistics["input_mean"], self.statistics["input_std"]
        return ((x.double() - mean.to(x.device)) / std.to(x.device)).float()

    def transform_batch(self, x: Tensor) -> Tensor:
        """Applied to the inputs of every batch, on the device; for data too large to transform all at once."""
        return x

    def augment_batch(self, x: Tensor) -> Tensor:
        """Applied instead of `transform_batch` in training."""
        return self.transform_batch(x)

    def augment_parts(self, parts: Split) -> Split:
        """Applied to all parts of a training batch, where the target must follow the inputs; default: `augment_batch`.

        Return new tensors: a batch of the whole split is not a copy. See docs/tasks.md for an example.
        """
        x, *rest = parts
        return (self.augment_batch(x), *rest)

    # What the data determine in a model

    @cached_property
    def spec(self) -> DataSpec:
        """The spec of a subclass that sets attributes instead."""
        names = [each.name for each in fields(DataSpec) if hasattr(self, each.name)]
        return DataSpec(**{name: getattr(self, name) for name in names})

    def __getattr__(self, name: str) -> Any:
        """Make the fields of `spec`, if it was set, attributes of the data module, too."""
        if name in DataSpec.__dataclass_fields__ and "spec" in vars(self):
            return getattr(self.spec, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}", name=name, obj=self)

    @property
    def in_features(self) -> int:
        """Numbers per sample (in a sequence: per step)."""
        return int(self.spec.in_shape[-1])

    @property
    def target_mean(self) -> float | list[float]:
        """Mean of the target in the training split, in its units, or of each output; 0 if it is not normalized."""
        if not self.normalize_target:
            return 0.0
        self.setup("fit")
        return self.statistics["target_mean"].tolist()

    @property
    def target_std(self) -> float | list[float]:
        """Deviation of the target in the training split, in its units, or of each output; 1 if it is not normalized."""
        if not self.normalize_target:
            return 1.0
        self.setup("fit")
        return self.statistics["target_std"].tolist()

    @property
    def class_counts(self) -> list[int]:
        """Rows, positions or labels of each class 0, 1, ... in the training split; negative classes are left out."""
        if self.spec.task not in ("binary", "multiclass", "multilabel"):
            raise AttributeError(
                f"the target of a {self.spec.task} task has no classes", name="class_counts", obj=self
            )
        self.setup("fit")
        target = self.splits["train"][1].flatten().long()
        num_classes = self.spec.out_features if self.spec.task == "multiclass" else 2
        return torch.bincount(target[target >= 0], minlength=num_classes).tolist()

    def coefficients_in_table_units(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Convert weights (K, F) and bias (K,) of a linear model from prepared inputs to raw inputs."""
        stats = self.statistics
        raw_weight = weight.double() / stats["input_std"]
        raw_bias = bias.double() - raw_weight @ stats["input_mean"]
        scale, shift = stats["target_std"], stats["target_mean"]
        return raw_weight * scale.reshape(-1, 1), raw_bias * scale + shift

    # Lightning's hooks

    def setup(self, stage: str | None = None) -> None:
        """Load once, whatever the stage and however often Lightning calls this."""
        if self.splits:
            return
        if self.normalize_target and self.spec.task != "regression":
            raise ValueError(
                f"data.normalize_target is true, but the target of a {self.spec.task} task is a class"
            )
        self.splits = self.load()
        check_splits(self.splits, type(self).__name__)
        if not self.statistics:  # otherwise they came from a checkpoint
            self.statistics = self.fit_statistics(*self.splits["train"][:2])
            for name, value in self.statistics.items():
                if not value.isfinite().all():
                    raise ValueError(
                        f"{name} of the training split of {type(self).__name__} is not a finite number; "
                        "its data hold NaN, infinity or numbers that are too large"
                    )

    def state_dict(self) -> dict[str, Any]:
        """The statistics fitted on the training split."""
        return dict(self.statistics)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Normalize as in the checkpoint's run, whatever the training split is now.

        Raises:
            ValueError: if that run had other inputs.
        """
        for name, value in self.statistics.items():
            shapes = (value.shape, self.splits["train"][0].shape[-1:])  # older runs: (W,) for images
            if name not in state_dict or state_dict[name].shape not in shapes:
                raise ValueError(
                    f"the checkpoint's data had other inputs than {type(self).__name__} has now "
                    f"({name} differs); use the data options that it was trained with"
                )
        self.statistics = dict(state_dict)

    def train_dataloader(self) -> TensorLoader:
        self._report_small_split()
        overfit = self.trainer is not None and bool(getattr(self.trainer, "overfit_batches", 0))
        return self._loader(
            "train",
            batch_size=self.batch_size,
            shuffle=not overfit,
            seed=self.order_seed,
            passes=self.passes_per_epoch,
            transform=self.augment_parts,
        )

    def val_dataloader(self) -> TensorLoader:
        return self._evaluation_loader("val")

    def test_dataloader(self) -> TensorLoader:
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> TensorLoader:
        return self._evaluation_loader("predict")

    def _report_small_split(self) -> None:
        """Say that a batch has fewer rows than was asked for."""
        processes = self.trainer.world_size if self.trainer else 1
        num_rows = len(self.splits["train"][0]) if "train" in self.splits else math.inf
        if self.batch_size is not None and self.batch_size * processes > num_rows:
            each = f" in each of {processes} processes" if processes > 1 else ""
            rank_zero_warn(
                f"data.batch_size is {self.batch_size}{each}, but the training split has {num_rows} rows: "
                "each step takes all of them, as with data.batch_size null"
            )

    def _evaluation_loader(self, split: str) -> TensorLoader:
        rows = self.eval_batch_size or rows_per_evaluation(self.splits, split, self.spec)
        return self._loader(split, batch_size=rows, transform=self._transform_parts)

    def _transform_parts(self, parts: Split) -> Split:
        x, *rest = parts
        return (self.transform_batch(x), *rest)

    def _loader(self, split: str, **options: Any) -> TensorLoader:
        if split not in self.splits:
            known = ", ".join(self.splits)
            raise ValueError(
                f"{type(self).__name__} has no {split} split with these options; it has: {known}"
            )
        trainer = self.trainer
        device = trainer.strategy.root_device if trainer else torch.device("cpu")
        x, y, *rest = self.splits[split]
        processes = trainer.world_size if trainer else 1
        if len(x) < processes:
            raise ValueError(
                f"the {split} split of {type(self).__name__} has {len(x)} rows for {processes} processes; use fewer "
                "(--trainer.devices), or data options that give it more"
            )
        x = self.prepare_inputs(x.to(device))
        if y.is_floating_point():  # not a class or a row's id
            y = ((y.double() - self.statistics["target_mean"]) / self.statistics["target_std"]).float()
        return TensorLoader(
            (x, y.to(device), *(part.to(device) for part in rest)),
            rank=trainer.global_rank if trainer else 0,
            world_size=processes,
            **options,
        )
