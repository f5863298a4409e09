"""Data, fit and hidden units of a regression on one input, against the network evaluated by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from callbacks.pictures import Curve, Predicted
from callbacks.pictures.curve import NUM_POINTS, take_apart
from tests.callbacks.pictures.plain import data_like, draw, network

MEAN, STD = torch.tensor([5.0]).double(), torch.tensor([3.0]).double()
TARGET = {"target_mean": torch.tensor(100.0).double(), "target_std": torch.tensor(20.0).double()}
STATISTICS = {"input_mean": MEAN, "input_std": STD, **TARGET}
X = torch.linspace(-2, 2, 40).double()[:, None]
Y = torch.sin(X[:, 0])


def curve_data():
    return data_like("regression", [1], statistics=STATISTICS)


def in_units(normalized):
    return normalized.detach().numpy().ravel() * 20 + 100


def by_hand(model, raw):
    return in_units(model((torch.as_tensor(raw)[:, None] - MEAN) / STD))


def lines(axes):
    return {line.get_label(): line.get_xydata().T for line in axes.lines}


@pytest.mark.parametrize("sizes", [(1, 1), (1, 4, 1), (1, 6, 5, 1)])
def test_data_and_fit_are_in_the_units_of_the_table(sizes):
    model = network(*sizes)
    axes = draw(Curve(), model, curve_data(), X, Y)["fit/curve"].axes[0]
    np.testing.assert_allclose(
        axes.collections[0].get_offsets(), np.column_stack([X * 3 + 5, 100 + 20 * Y]), rtol=1e-6
    )
    x, y = lines(axes)["fit"]
    assert len(x) == NUM_POINTS
    assert x[0] < -1 < 11 < x[-1]
    np.testing.assert_allclose(y, by_hand(model, x))
    mse = np.mean((in_units(model(X)) - in_units(Y)) ** 2)
    assert axes.get_title() == f"mean squared error {mse:.3g}"


def test_thresholds_are_where_a_sigmoid_is_one_half():
    model = network(1, 4, 1)
    with torch.no_grad():
        model.net[0].weight.copy_(torch.tensor([[1.0], [-1.0], [2.0], [1.0]]))
        model.net[0].bias.copy_(torch.tensor([0.1, -0.2, 0.3, 50.0]))  # the last one far outside
    figures = draw(Curve(), model, curve_data(), X, Y)
    ticks = figures["fit/curve"].axes[0].collections[1]
    thresholds = np.array([segment[0, 0] for segment in ticks.get_segments()])
    hidden = model.net[:2]((torch.as_tensor(thresholds)[:, None] - MEAN) / STD).detach().numpy()
    assert np.diag(hidden) == pytest.approx(0.5)
    assert ticks.get_label() == "threshold -b/w, 3 of 4 units"
    dots = [line for line in figures["fit/terms"].axes[0].lines if line.get_marker() == "o"]
    assert [float(dot.get_xdata()[0]) for dot in dots] == pytest.approx(list(thresholds))


@pytest.mark.parametrize("sizes", [(1, 4, 1), (1, 6, 5, 1)])
def test_what_the_units_add_sums_up_to_the_fit(sizes):
    model = network(*sizes, activation=nn.Tanh)
    above, below = draw(Curve(), model, curve_data(), X, Y)["fit/terms"].axes
    terms = [line.get_ydata() for line in above.lines if len(line.get_xdata()) == NUM_POINTS]
    assert len(terms) == sizes[-2]
    x = above.lines[0].get_xdata()
    hidden = model.net[:-1]((torch.as_tensor(x)[:, None] - MEAN) / STD).detach().numpy()
    weight = model.net[-1].weight.detach().numpy()[0] * 20
    np.testing.assert_allclose(terms, (hidden * weight).T, rtol=1e-9)
    (total,) = [line.get_ydata() for line in below.lines]
    np.testing.assert_allclose(total, by_hand(model, x))


@pytest.mark.parametrize(
    ("activation", "middle", "ends"), [(nn.Sigmoid, 0.5, (0.0, 1.0)), (nn.Tanh, 0.0, (-1.0, 1.0))]
)
def test_units_read_as_steps_have_two_values_only(activation, middle, ends):
    model = network(1, 3, 1, activation=activation)
    drawn = lines(draw(Curve(), model, curve_data(), X, Y)["fit/steps"].axes[0])
    x, steps = drawn[f"hidden units cut at {middle:g}"]
    hidden = model.net[:2]((torch.as_tensor(x)[:, None] - MEAN) / STD).detach().numpy()
    cut = torch.as_tensor(np.where(hidden > middle, ends[1], ends[0]))
    np.testing.assert_allclose(steps, in_units(model.net[2](cut)))
    assert len(set(np.round(steps, 6))) <= 4
    np.testing.assert_allclose(drawn["fit"][1], by_hand(model, x))


def test_steep_units_are_their_steps():
    """Where a sigmoid is steep, the reading as steps is the fit."""
    model = network(1, 3, 1)
    with torch.no_grad():
        model.net[0].weight.mul_(1e6)
        model.net[0].bias.mul_(1e6)
        fit = take_apart(model, curve_data(), X, Y)
    np.testing.assert_allclose(fit.steps, fit.curve, rtol=1e-6)


def test_without_hidden_units_there_is_the_fit_alone_and_relu_has_no_steps():
    assert draw(Curve(), network(1, 1), curve_data(), X, Y).keys() == {"fit/curve"}
    relu = draw(Curve(), network(1, 3, 1, activation=nn.ReLU), curve_data(), X, Y)
    assert relu.keys() == {"fit/curve", "fit/terms"}


def test_several_inputs_are_drawn_as_predicted_against_true():
    model, x = network(3, 1), torch.randn(30, 3).double()
    y = torch.randn(30).double()
    data = data_like("regression", [3], statistics=TARGET)
    (axes,) = draw(Predicted(), model, data, x, y)["fit/predicted"].axes
    np.testing.assert_allclose(
        axes.collections[0].get_offsets(), np.column_stack([in_units(y), in_units(model(x))])
    )
    assert not Curve().suits(model, data)
    assert not Predicted().suits(network(1, 1), curve_data())


def test_each_of_several_outputs_has_a_panel_in_its_own_units():
    model, x, y = network(3, 2), torch.randn(30, 3).double(), torch.randn(30, 2).double()
    mean, std = torch.tensor([100.0, 3.0]).double(), torch.tensor([20.0, 0.5]).double()
    data = data_like("regression", [3], statistics={"target_mean": mean, "target_std": std})
    data.target_name = ["price", "days"]
    axes = draw(Predicted(), model, data, x, y)["fit/predicted"].axes
    assert [each.get_xlabel() for each in axes] == ["true price", "true days"]
    for column, each in enumerate(axes):
        points = (torch.stack([y, model(x)])[..., column] * std[column] + mean[column]).detach()
        np.testing.assert_allclose(each.collections[0].get_offsets(), points.T)
