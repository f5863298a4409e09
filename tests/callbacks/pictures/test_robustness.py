"""Robustness measures accuracy on images that are turned, shifted and noisy as it says."""

import numpy as np
import pytest
import torch
from torch import nn

from callbacks.pictures.robustness import Robustness, add_noise, as_pixels, draw_robustness, shift, turn
from tests.callbacks.pictures.small import X, Y, classifier, data, figures


def test_a_quarter_turn_and_none():
    """The first image clockwise, the second counterclockwise."""
    turned = turn(X, 90)
    assert torch.allclose(turned[0::2], torch.rot90(X[0::2], -1, (2, 3)), atol=1e-5)
    assert torch.allclose(turned[1::2], torch.rot90(X[1::2], 1, (2, 3)), atol=1e-5)
    assert torch.allclose(turn(X, 0), X, atol=1e-6)


@pytest.mark.parametrize(("image", "dims", "step"), [(0, 2, 3), (1, 2, -3), (2, 3, 3), (3, 3, -3)])
def test_shifts_go_down_up_right_and_left(image, dims, step):
    expected = torch.roll(X[image], step, dims - 1)
    gap = slice(0, 3) if step > 0 else slice(-3, None)
    expected[(slice(None), gap) if dims == 2 else (slice(None), slice(None), gap)] = 0
    assert torch.equal(shift(X, 3)[image], expected)
    assert torch.equal(shift(X, 0), X)


def test_noise_is_as_large_as_it_says_and_stays_between_black_and_white():
    gray = torch.full((20, 1, 50, 50), 0.5)
    state = torch.get_rng_state()
    noisy = add_noise(gray, 0.1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(add_noise(gray, 0.1), noisy)
    assert float(noisy.std()) == pytest.approx(0.1, rel=0.01)
    assert float(noisy.mean()) == pytest.approx(0.5, abs=0.002)
    loud = add_noise(gray, 5.0)
    assert (float(loud.min()), float(loud.max())) == (0, 1)


@pytest.mark.parametrize("shape", [(), (1, 8, 8)])
def test_pixels_are_found_again_behind_a_normalization(shape):
    """With one mean for all pixels, or one for each."""
    generator = torch.Generator().manual_seed(0)
    mean, std = (torch.rand(shape, generator=generator, dtype=torch.float64) + 0.1 for _ in range(2))
    pixels = X.clone()
    pixels[:, :, 0, 0], pixels[:, :, 7, 7] = 0, 1
    prepared = ((pixels - mean) / std).float()
    found, prepare = as_pixels(data(statistics={"input_mean": mean, "input_std": std}), prepared)
    assert torch.allclose(found, pixels, atol=1e-5)
    assert torch.allclose(prepare(found), prepared, atol=1e-5)


def test_the_interval_is_wilsons():
    """By the formula of his paper, at the 97.5 % point of the normal distribution."""
    shares, count, z = [0.0, 0.35, 1.0], 20, 1.959964
    axes = draw_robustness({"a": (range(3), shares), "b": (range(3), shares)}, 0.1, count).axes[0]
    corners = axes.collections[0].get_paths()[0].vertices
    for k, share in enumerate(shares):
        middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
        half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
        limits = sorted({y for x, y in corners.tolist() if x == k})
        assert limits == pytest.approx([middle - half, middle + half], abs=1e-6)


def test_the_curves_are_the_accuracy_on_disturbed_images():
    model = classifier(nn.Flatten(), nn.Linear(64, 3))
    figure = figures(Robustness(), model)["robustness/accuracy"]
    rotation, moved, noise = (axes.lines[0].get_xydata() for axes in figure.axes[:3])
    pixels, prepare = as_pixels(data(), X)

    def accuracy(changed):
        with torch.no_grad():
            return float((model(prepare(changed)).argmax(1) == Y).double().mean())

    assert rotation[4].tolist() == [45, accuracy(turn(pixels, 45))]
    assert moved[2].tolist() == [2, accuracy(shift(pixels, 2))]
    assert noise[3].tolist() == pytest.approx([0.3, accuracy(add_noise(pixels, 0.3))])
    assert {rotation[0, 1], moved[0, 1], noise[0, 1]} == {accuracy(pixels)}
    assert list(figure.axes[0].lines[1].get_ydata()) == pytest.approx([1 / 3, 1 / 3])
