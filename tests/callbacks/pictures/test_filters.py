"""Filters draws the first layer's weights, on a scale on which 0 is white."""

import numpy as np
import pytest
from torch import nn

from callbacks.pictures.filters import MAX_FILTERS, Filters
from callbacks.pictures.images import mosaic
from tests.callbacks.pictures.small import classifier, convnet, data, figures


def drawn(figure):
    """The values behind the first axes, NaN where there are none."""
    return figure.axes[0].images[0].get_array().filled(np.nan)


def test_two_classes_have_one_image():
    model = classifier(nn.Flatten(), nn.Linear(64, 1))
    (tag, figure), *rest = figures(
        Filters(), model, data(task="binary", out_features=1, class_names=["4", "9"])
    ).items()
    weight = model.net[1].weight.detach().double().numpy()
    assert (tag, rest) == ("filters/00_net.1", [])
    assert np.array_equal(drawn(figure), weight.reshape(8, 8))
    image = figure.axes[0].images[0]
    assert image.norm.vmax == -image.norm.vmin == np.abs(weight).max()
    assert figure.axes[1].get_ylabel() == "weight (below 0 speaks for 4, above 0 for 9)"


def test_every_class_has_an_image_with_its_name():
    model = classifier(nn.Flatten(), nn.Linear(64, 3))
    figure = figures(Filters(), model)["filters/00_net.1"]
    weight = model.net[1].weight.detach().double().numpy().reshape(3, 8, 8)
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b", "c"]
    for tile in weight:
        windows = np.lib.stride_tricks.sliding_window_view(drawn(figure), (8, 8))
        assert (windows == tile).all((2, 3)).sum() == 1


def test_hidden_units_of_a_dense_network():
    model = classifier(nn.Flatten(), nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 3))
    figure = figures(Filters(), model)["filters/00_net.1"]
    weight = model.net[1].weight.detach().double().numpy().reshape(50, 8, 8)
    assert np.array_equal(drawn(figure), mosaic(weight[:MAX_FILTERS], 8), equal_nan=True)
    assert "the first 40 of 50" in figure.get_suptitle()
    image = figure.axes[0].images[0]
    assert image.norm.vmax == -image.norm.vmin == pytest.approx(np.quantile(np.abs(weight[:40]), 0.995))


def test_kernels_of_a_convolution():
    model = convnet()
    figure = figures(Filters(), model)["filters/00_net.0"]
    kernels = model.net[0].weight.detach().double().numpy()[:, 0]
    assert np.array_equal(drawn(figure), mosaic(kernels, 4), equal_nan=True)


def test_a_first_layer_that_does_not_read_the_whole_image_has_none():
    model = classifier(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    assert figures(Filters(), model) == {}


def test_only_images():
    model = classifier(nn.Linear(5, 3))
    assert not Filters().suits(model, data(in_shape=[5]))
    assert not Filters().suits(model, None)
