"""A folder of images for each class, read and augmented while the network trains; the images are generated once."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from datamodules.base import split_rows
from datamodules.loaders import LoaderDataModule

CLASSES = ("checks", "dots", "rings", "stripes")  # sorted by name, as ImageFolder numbers them
SIZE = 32  # of the images, in pixels
NOISE = 45.0  # deviation of each pixel's noise; a color goes from 0 to 255

TO_INPUT = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.25] * 3)]
AUGMENTED = v2.Compose(
    [
        v2.ToImage(),
        v2.RandomCrop(SIZE, padding=4, padding_mode="reflect"),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(brightness=0.3, contrast=0.3),
        *TO_INPUT,
    ]
)
PLAIN = v2.Compose([v2.ToImage(), *TO_INPUT])


class TexturesDataModule(LoaderDataModule):
    """Color images (3, 32, 32) of checks, dots, rings and stripes at any angle, in a light color on a dark one.

    Only training images are augmented, so the splits are subsets of two data sets with the same files.

    Args:
        data_dir: where the folder of images is or goes.
        num_images: in all splits together; a fifth each is for validation and test.
        kwargs: see `LoaderDataModule`.
    """

    task, in_shape, out_features = "multiclass", (3, SIZE, SIZE), len(CLASSES)
    class_names, id_name = CLASSES, "file"

    def __init__(self, *, data_dir: str = "data", num_images: int = 2000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_images = num_images
        self.folder = Path(data_dir, f"textures_{num_images}")

    def prepare_data(self) -> None:
        write_folder(self.folder, self.num_images // len(CLASSES))

    def datasets(self) -> dict[str, Dataset]:
        augmented, plain = ImageFolder(self.folder, AUGMENTED), ImageFolder(self.folder, PLAIN)
        held_out = len(plain) // 5
        rows = split_rows(len(plain), num_val=held_out, num_test=held_out, seed=0)
        self.class_counts = torch.tensor(plain.targets)[rows["train"]].bincount().tolist()
        return {
            "train": Subset(augmented, rows["train"].tolist()),
            "val": Subset(plain, rows["val"].tolist()),
            "test": Subset(plain, rows["test"].tolist()),
            "predict": NamedImages(plain, rows["test"].tolist()),
        }


class NamedImages(Dataset):
    """Some images of a folder, each with the name of its file instead of its class."""

    def __init__(self, images: ImageFolder, numbers: list[int]) -> None:
        self.images, self.numbers = images, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> tuple[Tensor, str]:
        number = self.numbers[place]
        image, _ = self.images[number]
        path = Path(self.images.samples[number][0])
        return image, path.relative_to(self.images.root).as_posix()


def write_folder(folder: Path, images_per_class: int) -> None:
    """Write the images unless they are there; the folder gets its name only once it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # several runs may start at the same time
        if folder.exists():
            return
        unfinished = Path(f"{folder}.part")
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        for label, name in enumerate(CLASSES):
            (unfinished / name).mkdir(parents=True)
            for number, image in enumerate(draw_textures(name, images_per_class, seed=label)):
                Image.fromarray(image).save(unfinished / name / f"{number:04d}.png")
        unfinished.rename(folder)


def draw_textures(kind: str, num_images: int, seed: int) -> Iterator[np.ndarray]:
    """Images (32, 32, 3) of bytes."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    for _ in range(num_images):
        angle, period = random.uniform(0, np.pi), random.uniform(5, 10)  # period in pixels
        shift = random.uniform(0, SIZE, size=2)
        right, down = x - shift[0], y - shift[1]
        u = 2 * np.pi / period * (np.cos(angle) * right + np.sin(angle) * down)
        v = 2 * np.pi / period * (np.cos(angle) * down - np.sin(angle) * right)
        inside = {
            "checks": np.cos(u) * np.cos(v) > 0,
            "dots": np.cos(u) + np.cos(v) > 0.5,
            "rings": np.cos(np.hypot(u, v)) > 0,
            "stripes": np.cos(u) > 0,
        }[kind]
        light, dark = random.uniform(110, 255, size=3), random.uniform(0, 145, size=3)  # two colors
        image = np.where(inside[..., None], light, dark)
        noise = NOISE * random.standard_normal(image.shape)
        yield (image + noise).clip(0, 255).astype(np.uint8)
