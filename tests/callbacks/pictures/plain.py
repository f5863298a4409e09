"""What the tests of pictures share: a data module's attributes, and networks that are not this repository's."""

from itertools import pairwise
from types import SimpleNamespace

import torch
from torch import nn

from tests.callbacks.plain import Plain


def data_like(task, in_shape, **attributes):
    """As much of a data module as the pictures ask for; inputs and targets are normalized."""
    data = SimpleNamespace(task=task, in_shape=in_shape, **attributes)
    statistics = attributes.get("statistics", {})
    if "input_mean" in statistics:
        data.prepare_inputs = lambda x: (x - statistics["input_mean"]) / statistics["input_std"]
    return data


def network(*sizes, activation=nn.Sigmoid, seed=0):
    """A Lightning model in eval mode, float64 so that comparisons can be tight."""
    torch.manual_seed(seed)
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), activation()]
    return Plain(nn.Sequential(*layers[:-1])).double().eval()


def draw(picture, model, data, *batch):
    """The figures of one picture, by tag."""
    assert picture.suits(model, data)
    with torch.no_grad():
        return dict(picture.figures(model, data, batch))
