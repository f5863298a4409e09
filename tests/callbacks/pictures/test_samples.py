"""What generative models draw and write: which modules say so, and what is shown."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from sklearn.decomposition import PCA
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util
from torch import Tensor, nn

from callbacks.pictures import Samples, Texts
from callbacks.pictures.network import offers
from callbacks.pictures.samples import NUM_IMAGES, NUM_POINTS, draw_images, draw_points, real_like
from callbacks.pictures.style import drawing
from tests.callbacks.plain import Plain, fit, rows

POINTS = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(40, 3, 6, 6, generator=torch.Generator().manual_seed(1))


class Generator(Plain):
    """Turns noise into samples of some shape."""

    def __init__(self, *shape: int) -> None:
        super().__init__(nn.Linear(2, 2))
        self.shape, self.asked = shape, []

    def sample(self, num_samples: int) -> Tensor:
        self.asked.append((num_samples, float(torch.rand(1))))
        return torch.rand(num_samples, *self.shape)

    def sample_text(self, num_samples: int) -> list[str]:
        return [f"# text {number} with <tags> and *stars*\n" for number in range(num_samples)]


class Other(Plain):
    """Has methods of these names, which mean something else."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 2))

    def sample(self, logits: Tensor, temperature: float) -> Tensor:
        raise AssertionError

    def sample_text(self, prompt: str) -> str:
        raise AssertionError


def test_only_modules_with_the_documented_methods() -> None:
    assert offers(Generator(2), "sample")
    assert not offers(Generator(2), "decode")
    assert not offers(Other(), "sample")
    assert not offers(Other(), "sample_text")
    assert not Samples().suits(Plain(nn.Linear(2, 2)), None)
    assert not Texts().suits(Other(), None)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ((POINTS, IMAGES), POINTS[:30]),
        ([IMAGES, POINTS], POINTS[:30]),
        (POINTS, POINTS[:30]),
        (IMAGES, None),
        (None, None),
    ],
)
def test_real_ones_have_the_shape_of_the_samples(batch: Any, expected: Tensor | None) -> None:
    found = real_like(torch.zeros(30, 2), batch)
    assert found is None if expected is None else torch.equal(found, expected)


def test_points_are_shown_next_to_real_ones() -> None:
    made = POINTS.flip(1).numpy()
    with drawing():
        generated, real = draw_points(made, POINTS).axes
    assert np.allclose(generated.collections[0].get_offsets(), made)
    assert np.allclose(real.collections[0].get_offsets(), POINTS)
    assert generated.get_xlim() == real.get_xlim()


def test_many_numbers_are_projected_as_the_real_points_are() -> None:
    real, made = (torch.randn(60, 5, generator=torch.Generator().manual_seed(k)) for k in (3, 4))
    real[:, 1] *= 4
    with drawing():
        axes = draw_points(made.numpy(), real).axes
    plane = PCA(2).fit(real)
    for panel, points in zip(axes, (made, real), strict=True):
        shown = np.abs(np.asarray(panel.collections[0].get_offsets()))
        assert np.allclose(shown, np.abs(plane.transform(points)), atol=1e-4)


def test_single_numbers_are_a_histogram() -> None:
    with drawing():
        (panel,) = draw_points(np.random.default_rng(0).normal(size=(500, 1)), None).axes
    heights = np.array([bar.get_height() * bar.get_width() for bar in panel.patches])
    assert heights.sum() == pytest.approx(1)


def test_images_are_on_the_scale_of_the_real_ones() -> None:
    with drawing():
        generated, real = draw_images(2 * IMAGES, IMAGES).axes
    low, high = float(IMAGES.min()), float(IMAGES.max())
    expected = ((2 * IMAGES[0] - low) / (high - low)).clamp(0, 1).permute(1, 2, 0)
    assert np.allclose(generated.images[0].get_array()[:6, :6], expected, atol=1e-6)
    assert real.images[0].get_array().shape == generated.images[0].get_array().shape


@pytest.mark.parametrize(
    ("shape", "tag", "asked"),
    [((3, 6, 6), "samples_images", [NUM_IMAGES]), ((2,), "samples_points", [NUM_IMAGES, NUM_POINTS])],
)
def test_drawn_with_the_same_noise_each_time(shape: Any, tag: str, asked: list, tmp_path: Path) -> None:
    model = Generator(*shape)
    fit(model, rows(POINTS, POINTS), Samples(tmp_path), val=rows(POINTS, POINTS))
    assert [count for count, _ in model.asked] == asked * 2  # before training and after
    assert len({noise for _, noise in model.asked}) == 1
    assert {path.name for path in tmp_path.iterdir()} == {f"{tag}_000000.png", f"{tag}_000001.png"}


def test_the_random_numbers_of_the_training_stay() -> None:
    def after(*callbacks: pl.Callback) -> Tensor:
        torch.manual_seed(5)
        fit(Generator(2), rows(POINTS, POINTS), *callbacks)
        return torch.rand(3)

    assert torch.equal(after(), after(Samples(), Texts()))


def test_without_validation_data_only_the_samples(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        fit(Generator(2), rows(POINTS, POINTS), Samples(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2
    assert not [each for each in caught if "drawn" in str(each.message)]


def test_samples_that_are_neither_images_nor_points_are_named(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"Samples cannot be drawn .*returns \[32, 4, 5\]"):
        fit(Generator(4, 5), rows(POINTS, POINTS), Samples(tmp_path))


def test_texts_are_texts_in_tensorboard_and_in_the_folder(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path, name="run")
    fit(Generator(2), rows(POINTS, POINTS), Texts(), logger=logger)
    lines = [text.strip() for text in Generator(2).sample_text(8)]
    folder = Path(logger.log_dir)
    assert (folder / "pictures" / "samples_text_000001.txt").read_text().splitlines() == lines
    events = EventAccumulator(str(folder)).Reload().Tensors("samples/text/text_summary")
    assert [event.step for event in events] == [0, 1]
    (shown,) = tensor_util.make_ndarray(events[1].tensor_proto)
    assert shown.decode().splitlines() == [f"    {line}" for line in lines]  # Markdown shows it as it is
