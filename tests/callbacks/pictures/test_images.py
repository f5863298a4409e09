"""Small images in one, and the network's modules in order."""

import numpy as np
import torch
from torch import nn

from callbacks.pictures.forward import calls
from callbacks.pictures.images import corner, diverging, first_of_each_class, ink, mosaic, show_captioned
from callbacks.pictures.style import new_figure
from tests.callbacks.pictures.small import X, classifier
from tests.callbacks.plain import has_hooks


def test_each_tile_is_at_its_corner_and_nothing_between():
    tiles = np.arange(1.0, 31.0).reshape(5, 2, 3)
    image = mosaic(tiles, columns=3, gap=1, head=2)
    assert image.shape == (2 * (2 + 1 + 2) - 1, 3 * (3 + 1) - 1)
    for index, tile in enumerate(tiles):
        top, left = corner(index, tiles, 3, 1, 2)
        assert np.array_equal(image[top : top + 2, left : left + 3], tile)
    assert np.isnan(image).sum() == image.size - tiles.size


def test_captions_stand_above_the_middle_of_their_tiles():
    axes = new_figure().subplots()
    show_captioned(axes, np.ones((3, 9, 9)), ["x", "y", "z"], 2, ["red", "blue", "green"])
    assert [text.get_text() for text in axes.texts] == ["x", "y", "z"]
    assert [text.get_color() for text in axes.texts] == ["red", "blue", "green"]
    image = np.ma.getdata(axes.images[0].get_array())
    for text in axes.texts:
        x, y = text.get_position()
        assert np.isnan(image[round(y), round(x)])
        assert image[round(y) + 1, round(x)] == 1


def test_ink_runs_from_the_darkest_to_the_brightest_pixel_of_each_image():
    drawn = ink(3 * X - 7)
    assert drawn.shape == (40, 8, 8)
    assert np.allclose(drawn.min((1, 2)), 0)
    assert np.allclose(drawn.max((1, 2)), 1)
    assert np.allclose(drawn, ink(X), atol=1e-5)
    assert np.array_equal(ink(torch.ones(1, 1, 2, 2)), np.zeros((1, 2, 2)))


def test_ink_keeps_colors():
    colored = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    low, high = colored.amin((1, 2, 3), keepdim=True), colored.amax((1, 2, 3), keepdim=True)
    expected = ((colored - low) / (high - low)).permute(0, 2, 3, 1)
    assert np.allclose(ink(2 * colored - 1), expected, atol=1e-6)


def test_classes_time_interleaved():
    assert first_of_each_class(torch.tensor([2, 2, 0, 2, 1, 0]), 5) == [2, 4, 0, 5, 1]


def test_white_is_zero():
    colors = diverging(np.array([-3.0, 1.0]))
    assert (colors["vmin"], colors["vmax"]) == (-3.0, 3.0)
    assert diverging(np.zeros(3))["vmax"] > 0


def test_modules_in_the_order_of_the_forward_pass():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.relu, self.first = nn.Linear(4, 2), nn.ReLU(), nn.Linear(64, 4)

        def forward(self, x):
            return self.last(self.relu(self.first(x.flatten(1))))

    model = classifier(Backwards())
    passed = calls(model, X)
    assert [call.tag for call in passed] == ["00_net.0.first", "net.0.relu", "01_net.0.last"]
    assert torch.equal(passed[1].output, passed[0].output.relu())
    assert torch.equal(passed[2].inputs, passed[1].output)
    assert not has_hooks(model)


def test_a_module_that_is_called_twice_is_met_twice():
    relu = nn.ReLU()
    passed = calls(classifier(nn.Flatten(), nn.Linear(64, 4), relu, nn.Linear(4, 4), relu), X)
    assert [call.tag for call in passed[1:]] == ["00_net.1", "net.2", "01_net.3", "net.2"]
