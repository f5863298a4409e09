"""Masks: which data have them, what the network predicts, and what the picture shows."""

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from matplotlib.colors import to_rgb
from torch import Tensor, nn

from callbacks.pictures import Masks
from callbacks.pictures.hardest import percent
from callbacks.pictures.masks import draw_masks, has_masks, predicted_masks, shares_right
from callbacks.pictures.style import drawing, mask_colors
from tests.callbacks.plain import Plain, fit, rows

X = torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(1))
Y = (3 * X[:, 0]).long()
NAMES = ["ground", "tree", "house"]


def data(**attributes: Any) -> SimpleNamespace:
    """What a data module says of itself."""
    return SimpleNamespace(**{"task": "multiclass", "in_shape": (1, 8, 8), "out_features": 3} | attributes)


@pytest.mark.parametrize(
    ("batch", "task", "expected"),
    [
        ((X, Y), "multiclass", True),
        ((X, Y[:, None]), "multiclass", True),
        ((X, Y, Y), "", True),
        ((X, (Y > 0).float()), "binary", True),
        ((X, (Y > 0).float()), "", False),
        ((X, Y[:, 0, 0]), "multiclass", False),
        ((X, Y[:, :4]), "multiclass", False),
        ((X[:, 0], Y), "multiclass", False),
        (X, "multiclass", False),
        ({"x": X, "y": Y}, "multiclass", False),
        (None, "multiclass", False),
    ],
)
def test_what_has_masks(batch: Any, task: str, expected: bool) -> None:
    assert has_masks(batch, task) == expected


LOGITS = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("output", "task", "expected"),
    [
        (LOGITS, "multiclass", LOGITS.argmax(1)),
        (LOGITS.movedim(1, -1), "multiclass", LOGITS.argmax(1)),
        (LOGITS[:, :1], "binary", (LOGITS[:, 0] > 0).long()),
        (LOGITS[:, 0], "binary", (LOGITS[:, 0] > 0).long()),
        (LOGITS[:, :2], "binary", LOGITS[:, :2].argmax(1)),
        (LOGITS.mean((2, 3)), "multiclass", None),
        ({"out": LOGITS}, "", None),
    ],
)
def test_predicted_classes(output: Any, task: str, expected: Tensor | None) -> None:
    found = predicted_masks(output, (8, 8), task)
    assert found is None if expected is None else torch.equal(found, expected)


def test_the_share_of_right_pixels_counts_only_those_with_a_label() -> None:
    truth = np.array([[[0, 1], [-100, 2]], [[-1, -1], [-1, -1]]])
    predicted = np.array([[[0, 1], [1, 1]], [[0, 0], [0, 0]]])
    assert shares_right(truth, predicted) == pytest.approx([2 / 3, np.nan], nan_ok=True)


def test_pixels_have_the_colors_of_their_classes() -> None:
    truth, predicted = Y[:2].numpy().copy(), 2 - Y[:2].numpy()
    truth[0, 0, :] = -100
    with drawing():
        figure = draw_masks(X[:2, 0].numpy(), truth, predicted, NAMES)
        figure.canvas.draw()
    colors = [to_rgb(color) for color in mask_colors(3)]
    for axes, masks in zip(figure.axes[1:], (truth, predicted), strict=True):
        image = axes.images[0]
        pixels = image.cmap(image.norm(image.get_array()))[..., :3]
        head = pixels.shape[0] - 8
        shown = pixels[head:, :8]
        for row, column in np.ndindex(8, 8):
            label = masks[0, row, column]
            expected = (0, 0, 0) if label < 0 else colors[label]
            assert shown[row, column] == pytest.approx(expected)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [*NAMES, "no label"]
    right = (truth == predicted)[0].sum() / (truth[0] >= 0).sum()
    assert figure.axes[2].texts[0].get_text() == percent(right)


def test_images_with_colors_stay_colored() -> None:
    images = np.random.default_rng(0).random((2, 8, 8, 3))
    with drawing():
        figure = draw_masks(images, Y[:2].numpy(), Y[:2].numpy(), NAMES)
    shown = figure.axes[0].images[0].get_array()
    assert np.allclose(shown[-8:, :8], images[0])


class Images(pl.LightningDataModule):
    """Images with masks; `about` are its attributes."""

    def __init__(self, target: Tensor, **about: Any) -> None:
        super().__init__()
        vars(self).update(about)
        self.target = target

    def train_dataloader(self) -> Any:
        return rows(X, self.target)

    val_dataloader = train_dataloader


@pytest.mark.parametrize("about", [{"task": "multiclass", "in_shape": (1, 8, 8), "out_features": 3}, {}])
def test_drawn_in_a_training_with_and_without_a_known_task(about: dict, tmp_path: Path) -> None:
    model = Plain(nn.Conv2d(1, 3, 1), loss=nn.functional.cross_entropy)
    with warnings.catch_warnings(record=True) as caught:
        fit_data(model, Images(Y, **about), tmp_path)
    assert (tmp_path / "fit_masks_000002.png").exists()
    assert not [each for each in caught if "drawn" in str(each.message)]


def test_a_class_for_each_image_is_no_mask_and_needs_no_words(tmp_path: Path) -> None:
    model = Plain(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), loss=nn.functional.cross_entropy)
    with warnings.catch_warnings(record=True) as caught:
        fit_data(model, Images(Y[:, 0, 0]), tmp_path)
    assert not list(tmp_path.iterdir())
    assert not [each for each in caught if "drawn" in str(each.message)]


def test_without_validation_nothing_is_said(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        fit(Plain(nn.Conv2d(1, 3, 1), loss=nn.functional.cross_entropy), rows(X, Y), Masks(tmp_path))
    assert not [each for each in caught if "drawn" in str(each.message)]


def fit_data(model: Any, datamodule: pl.LightningDataModule, folder: Path) -> None:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = pl.Trainer(callbacks=[Masks(folder)], max_epochs=2, accelerator="cpu", logger=False, **quiet)
    trainer.fit(model, datamodule=datamodule)
