"""MNIST and two data sets in its format: handwritten digits, fashion articles, cursive Japanese characters."""

import inspect
import math
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from datamodules.augment import random_affine
from datamodules.base import Split, TensorDataModule, check_choice, check_seed, split_rows
from datamodules.download import ensure_files
from datamodules.idx import NUM_CLASSES, SIDE, read_images_and_labels
from datamodules.mnist_files import FOLDERS, SETS, check_published
from datamodules.spec import DataSpec

CLASS_NAMES = {
    "mnist": list("0123456789"),
    "fashion": SETS["fashion"].classes,
    "kmnist": SETS["kmnist"].classes,
}
NORMALIZATIONS = ("none", "dataset", "pixel", "image")
AUGMENTATIONS = tuple(inspect.signature(random_affine).parameters)[1:]
# In units of the range from black to white: a pixel that is hardly ever lit must not dominate the others.
MIN_PIXEL_STD = 0.1


class MNISTDataModule(TensorDataModule):
    """60,000 gray images of 28 x 28 pixels to train and validate on, 10,000 to test on, in ten classes.

    Sources: MNIST, LeCun et al. 1998, http://yann.lecun.com/exdb/mnist; Fashion-MNIST, Xiao et al. 2017,
    https://arxiv.org/abs/1708.07747; KMNIST, Clanuwat et al. 2018, https://arxiv.org/abs/1812.01718.

    The official test images are only used as the test split; the predict split has the same images, named by
    their place in the file. Images are stored as bytes; batches are (N, 1, 28, 28), in [0, 1] before
    normalization.

    Args:
        data_dir: where the files are, or where they are downloaded to (see `download.py`).
        dataset: which of the three.
        classes: keep only these, relabeled 0, 1, ... in the given order; two classes make a binary task.
        subset: keep only this many of the training and validation images, chosen by `split_seed`.
        num_val: images held out for validation; None for one twelfth, which is 5,000 of 60,000.
        split: "random" holds out images chosen by `split_seed`, "first" trains on the first in the file and
            holds out the last.
        split_seed: see above; the seed of the training has no influence.
        normalize: "none" leaves pixels in [0, 1]; "dataset" scales all pixels together to mean 0 and deviation
            1 in the training split; "pixel" scales each of the 784 pixels (deviations below 0.1 count as 0.1);
            "image" scales each image.
        augment: arguments of `augment.random_affine`, such as {"degrees": 10, "shift": 2}, used in training.
        kwargs: see `TensorDataModule`.

    Raises:
        ValueError: for classes that do not exist, more images than there are, or files that are wrong or not
            available.
    """

    def __init__(
        self,
        *,
        data_dir: str = "data",
        dataset: Literal["mnist", "fashion", "kmnist"] = "mnist",
        classes: list[int] | None = None,
        subset: int | None = None,
        num_val: int | None = None,
        split: Literal["random", "first"] = "random",
        split_seed: int = 0,
        normalize: Literal["none", "dataset", "pixel", "image"] = "dataset",
        augment: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(normalize=False, **kwargs)
        check_choice("data.dataset", dataset, FOLDERS)
        check_choice("data.split", split, ("random", "first"))
        check_choice("data.normalize", normalize, NORMALIZATIONS)
        for name, value in (augment or {}).items():
            check_choice("data.augment", name, AUGMENTATIONS)
            if not 0 <= value < math.inf:
                raise ValueError(f"data.augment.{name} is {value}; it must be at least 0")
        for name, number in {"subset": subset, "num_val": num_val}.items():
            if number is not None and number < 1:
                raise ValueError(f"data.{name} is {number}; it must be at least 1 (or null)")
        check_seed("data.split_seed", split_seed)
        self.classes = _checked_classes(classes)
        self.data_dir = data_dir
        self.dataset = dataset
        self.subset = subset
        self.num_val = num_val
        self.split = split
        self.split_seed = split_seed
        self.normalize_images = normalize
        self.augment = augment or {}
        self._on_device: tuple[dict[str, Tensor], Tensor, Tensor] = ({}, torch.empty(0), torch.empty(0))
        num_classes = len(self.classes)
        self.spec = DataSpec(
            task="binary" if num_classes == 2 else "multiclass",
            in_shape=[1, SIDE, SIDE],
            out_features=1 if num_classes == 2 else num_classes,
            class_names=[CLASS_NAMES[dataset][label] for label in self.classes],
            class_values=self.classes,
            sample_name="image",
        )

    @property
    def in_features(self) -> int:
        return SIDE * SIDE

    def prepare_data(self) -> None:
        """Download what is missing; Lightning calls this in one process per machine."""
        ensure_files(self.data_dir, self.dataset)

    def load(self) -> dict[str, Split]:
        paths = ensure_files(self.data_dir, self.dataset)
        x, y, _ = self._read(*paths[:2])
        rows = self._split(len(y))
        x_test, y_test, test_rows = self._read(*paths[2:])
        return {
            "train": (x[rows["train"]], y[rows["train"]]),
            "val": (x[rows["val"]], y[rows["val"]]),
            "test": (x_test, y_test),
            "predict": (x_test, test_rows),
        }

    def fit_statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """`input_mean` and `input_std` of the images x (N, 1, 28, 28), in [0, 1]: scalars, or (1, 28, 28)."""
        stats = {"target_mean": torch.zeros(()), "target_std": torch.ones(())}
        if self.normalize_images == "pixel":
            variance, mean = torch.var_mean(x.double() / 255, dim=0, correction=0)
            return stats | {"input_mean": mean, "input_std": variance.sqrt().clamp(min=MIN_PIXEL_STD)}
        if self.normalize_images == "dataset":
            share = torch.bincount(x.flatten(), minlength=256).double() / x.numel()
            level = torch.arange(256, dtype=torch.float64) / 255
            mean = (share * level).sum()
            std = (share * (level - mean) ** 2).sum().sqrt()
            return stats | {"input_mean": mean, "input_std": std.where(std > 0, 1.0)}
        return stats | {"input_mean": torch.zeros(()), "input_std": torch.ones(())}

    def prepare_inputs(self, x: Tensor) -> Tensor:
        """Leave images as bytes; `transform_batch` converts them."""
        return x

    def transform_batch(self, x: Tensor) -> Tensor:
        """Convert bytes (N, 1, 28, 28) to the network's inputs, float32."""
        return self._normalized(x / 255)

    def augment_batch(self, x: Tensor) -> Tensor:
        """The same after a random warp."""
        pixels = x / 255
        return self._normalized(random_affine(pixels, **self.augment) if self.augment else pixels)

    def _normalized(self, x: Tensor) -> Tensor:
        """Normalize in place: the batch is still in the cache, a new tensor for each operation would not be."""
        if self.normalize_images == "none":
            return x
        if self.normalize_images == "image":
            std, mean = torch.std_mean(x, dim=(1, 2, 3), keepdim=True, correction=0)
            return x.sub_(mean).div_(std.where(std > 0, 1.0))
        mean, std = self._mean_and_std(x.device)
        return x.sub_(mean).div_(std)

    def _mean_and_std(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Both as float32 on the device; copied there once, because the host waits for every copy."""
        source, mean, std = self._on_device
        if source is not self.statistics or mean.device != device:
            mean, std = (self.statistics[name].float().to(device) for name in ("input_mean", "input_std"))
            self._on_device = (self.statistics, mean, std)
        return mean, std

    def _read(self, images_path: Path, labels_path: Path) -> tuple[Tensor, Tensor, Tensor]:
        """Images, new labels and places in the file of the chosen classes, in the order of the file."""
        x, y = read_images_and_labels(images_path, labels_path, partial(check_published, self.dataset))
        new_label = torch.full((NUM_CLASSES,), -1)
        new_label[self.classes] = torch.arange(len(self.classes))
        missing = sorted(set(self.classes) - set(y.tolist()))
        if missing and len(self.classes) < NUM_CLASSES:
            raise ValueError(f"data.classes has {missing[0]}, but {labels_path} has no image of that class")
        rows = (new_label[y] >= 0).nonzero().flatten()
        return x[rows], new_label[y[rows]], rows

    def _split(self, num_images: int) -> dict[str, Tensor]:
        """Numbers of the images for training ("train") and for validation ("val")."""
        kept = torch.arange(num_images)
        if self.subset is not None:
            if self.subset > num_images:
                raise ValueError(f"data.subset is {self.subset}, but there are only {num_images} images")
            generator = torch.Generator().manual_seed(self.split_seed)
            kept = torch.randperm(num_images, generator=generator)[: self.subset].sort().values
        num_val = max(1, round(len(kept) / 12)) if self.num_val is None else self.num_val
        if num_val >= len(kept):
            raise ValueError(
                f"data.num_val is {num_val}, which leaves none of {len(kept)} images for training"
            )
        if self.split == "first":
            return {"train": kept[:-num_val], "val": kept[-num_val:]}
        return {name: kept[rows] for name, rows in split_rows(len(kept), num_val, self.split_seed).items()}


def _checked_classes(classes: list[int] | None) -> list[int]:
    known = range(NUM_CLASSES)
    if classes is None:
        return list(known)
    for label in classes:
        if label not in known:
            raise ValueError(f"data.classes has {label}; classes are numbered 0 to {NUM_CLASSES - 1}")
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise ValueError(f"data.classes is {classes}; it must be null or at least two different classes")
    return list(classes)
