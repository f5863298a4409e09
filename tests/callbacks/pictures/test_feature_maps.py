"""FeatureMaps draws what the blocks of a convolutional network pass on."""

import numpy as np
import torch
from torch import nn

from callbacks.pictures.feature_maps import FeatureMaps, block_outputs, stack
from callbacks.pictures.forward import calls
from callbacks.pictures.images import ink, mosaic
from tests.callbacks.pictures.small import X, classifier, convnet, data, figures


def test_a_block_ends_where_the_image_becomes_smaller():
    model = convnet()
    (first, one), (second, two) = block_outputs(calls(model, X))
    assert (first, second) == ("01_net.2", "02_net.5")
    assert torch.equal(one, model.net[:5](X))
    assert torch.equal(two, model.net[:9](X))


def test_without_pooling_every_convolution_is_a_block():
    model = classifier(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(128, 3)
    )
    assert [tag for tag, _ in block_outputs(calls(model, X))] == ["00_net.0", "01_net.2"]


def test_what_is_drawn():
    model = convnet()
    figure = figures(FeatureMaps(), model)["feature_maps/blocks"]
    panels = [axes for axes in figure.axes if axes.images]  # the others are color bars
    image, one, two = [axes.images[0].get_array().filled(np.nan) for axes in panels]
    x = X[:3]  # one of each class
    with torch.no_grad():
        first, second = (model.net[:end](x).double().numpy() for end in (5, 9))
    assert np.array_equal(image, stack(list(ink(x))), equal_nan=True)
    assert np.array_equal(one, stack([mosaic(maps, 3) for maps in first]), equal_nan=True)
    assert np.array_equal(two, stack([mosaic(maps[:16], 4) for maps in second]), equal_nan=True)
    titles = [axes.get_title() for axes in panels[1:]]
    assert titles == [
        "convolution 2\n01_net.2\n6 maps\n4 x 4 pixels",
        "convolution 3\n02_net.5\n16 of 20 maps\n2 x 2 pixels",
    ]


def test_only_networks_with_convolutions():
    assert FeatureMaps().suits(convnet(), data())
    assert not FeatureMaps().suits(classifier(nn.Flatten(), nn.Linear(64, 3)), data())
