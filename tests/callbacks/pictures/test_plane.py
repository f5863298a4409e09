"""What is drawn over a plane is what the network computes there, in the units of the table."""

import numpy as np
import pytest
import torch
from torch import nn

from callbacks.pictures import Plane, PlaneUnits, UnitSpace
from callbacks.pictures.plane_axes import SIDE, PlaneAxes
from callbacks.pictures.style import class_colors
from callbacks.pictures.unit_space import draw_unit_space
from tests.callbacks.pictures.plain import data_like, draw, network

MEAN, STD = torch.tensor([2.0, 30.0]).double(), torch.tensor([0.5, 15.0]).double()
STATISTICS = {"input_mean": MEAN, "input_std": STD}
X = torch.randn(60, 2, generator=torch.Generator().manual_seed(1)).double()
Y = (X[:, 0] > 0).long()
RAW = X * STD + MEAN


def plane_data(task="binary", **attributes):
    return data_like(task, [2], statistics=STATISTICS, **attributes)


def by_hand(model, raw):
    """The logits of points (N, 2) in the units of the table."""
    with torch.no_grad():
        return model((torch.as_tensor(raw) - MEAN) / STD)


def outlines(contours):
    """Each band's lower level, its upper level, and the points around it."""
    levels = contours.levels
    for low, high, path in zip(levels[:-1], levels[1:], contours.get_paths(), strict=True):
        yield low, high, path.vertices


def test_the_filled_contours_are_the_probabilities():
    model = network(2, 3, 1)
    with torch.no_grad():
        model.net[2].weight.mul_(9)
        model.net[2].bias.sub_(model(X).mean())
    axes = draw(Plane(), model, plane_data(), X, Y)["fit/plane"].axes[0]
    bands = list(outlines(axes.collections[0]))
    assert len(bands) == 10
    assert sum(len(points) > 0 for _, _, points in bands) > 5
    for low, high, points in bands:
        probability = by_hand(model, points).sigmoid()
        assert ((probability > low - 0.005) & (probability < high + 0.005)).all()
    (half,) = [each for each in axes.collections if list(getattr(each, "levels", [])) == [0.5]]
    points = np.concatenate([path.vertices for path in half.get_paths()])
    assert by_hand(model, points).sigmoid().numpy() == pytest.approx(0.5, abs=0.005)


def test_the_samples_are_on_top_in_the_units_of_the_table():
    figure = draw(Plane(), network(2, 3, 1), plane_data(class_names=("died", "lived")), X, Y)["fit/plane"]
    scattered = {each.get_label(): each.get_offsets() for each in figure.axes[0].collections[-2:]}
    assert scattered.keys() == {"died", "lived"}
    np.testing.assert_allclose(scattered["died"], RAW[Y == 0], rtol=1e-6)
    np.testing.assert_allclose(scattered["lived"], RAW[Y == 1], rtol=1e-6)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["died", "lived"]


def test_each_units_line_is_where_its_weighted_sum_is_zero():
    model = network(2, 5, 1, activation=nn.ReLU)
    axes = draw(Plane(), model, plane_data(), X, Y)["fit/lines"].axes[0]
    first = model.net[0]
    numbers = [int(text.get_text()) for text in axes.texts if text.get_text()]
    assert len(axes.lines) == len(numbers) > 2
    for line, number in zip(axes.lines, numbers, strict=True):
        points = torch.as_tensor(line.get_xydata())
        sums = first((points - MEAN) / STD)[:, number - 1]
        assert sums.detach().numpy() == pytest.approx(0, abs=1e-9)


def test_the_arrow_shows_to_the_side_on_which_the_unit_is_on():
    plane = PlaneAxes(RAW.numpy(), Y.numpy())
    weight, bias = np.array([3.0, -0.2]), 0.5
    ((start, end, direction),) = plane.lines(weight, bias)
    assert weight @ start + bias == pytest.approx(0)
    assert weight @ end + bias == pytest.approx(0)
    assert weight @ ((start + end) / 2 + 0.01 * direction) + bias > 0
    along, across = (end - start) / (plane.high - plane.low), direction / (plane.high - plane.low)
    assert along @ across == pytest.approx(0)  # perpendicular in the picture
    assert all(
        (point >= plane.low - 1e-9).all() and (point <= plane.high + 1e-9).all() for point in (start, end)
    )


@pytest.mark.parametrize("weight", [[0.0, 1.0], [1.0, 0.0]])
def test_lines_along_an_axis_and_lines_that_are_not_seen(weight):
    plane = PlaneAxes(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0, 1]))
    ((start, end, _),) = plane.lines(np.array(weight), -0.5)
    assert abs(np.array(weight) @ (start - end)) < 1e-12
    assert np.abs(start - end).max() == pytest.approx((plane.high - plane.low)[0])
    assert plane.lines(np.array(weight), -5.0) == []


def test_more_than_two_classes_are_colors_mixed_by_probability():
    model = network(2, 5, 4)
    labels = torch.arange(60) % 4
    (image,) = draw(Plane(), model, plane_data("multiclass"), X, labels)["fit/plane"].axes[0].images
    plane = PlaneAxes(RAW.numpy(), labels.numpy())
    probability = by_hand(model, plane.grid()).softmax(1).numpy().reshape(SIDE, SIDE, 4)
    colors = np.array([[int(c[k : k + 2], 16) / 255 for k in (1, 3, 5)] for c in class_colors(4)])
    expected = 1 - 0.45 * (1 - probability @ colors)
    np.testing.assert_allclose(image.get_array(), expected, atol=1e-6)
    assert image.origin == "lower"


def test_a_feature_with_two_values_has_their_names_and_its_points_are_spread():
    raw = np.column_stack([np.arange(40) % 2, np.linspace(0, 80, 40)])
    labels = torch.arange(40) % 2
    data = data_like(
        "binary",
        [2],
        feature_names=["male", "Age"],
        axis_names={"male": "sex", "Age": "age (years)"},
        value_names={"male": ("female", "male")},
    )
    figures = [draw(Plane(), network(2, 2, 1), data, torch.as_tensor(raw), labels)["fit/plane"] for _ in "ab"]
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["female", "male"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("sex", "age (years)")
    once, again = (np.concatenate([c.get_offsets() for c in f.axes[0].collections[-2:]]) for f in figures)
    np.testing.assert_array_equal(once, again)
    order = np.argsort(labels.numpy(), kind="stable")
    np.testing.assert_allclose(once[:, 1], raw[order, 1])
    assert np.abs(once[:, 0] - raw[order, 0]).max() <= 0.35
    assert len(set(once[:, 0])) == 40


@pytest.mark.parametrize("sizes", [(2, 3, 1), (2, 6, 5, 1)])
def test_the_contours_of_each_unit_are_its_output(sizes):
    model = network(*sizes)
    figure = draw(PlaneUnits(), model, plane_data(), X, Y)["fit/units"]
    hidden, last = model.net[:-1], model.net[-1]
    panels = [axes for axes in figure.axes if axes.get_title().startswith("unit")]
    assert len(panels) == sizes[-2]
    for unit, axes in enumerate(panels):
        assert (
            axes.get_title() == f"unit {unit + 1}\noutput weight {float(last.weight[0, unit].detach()):+.1f}"
        )
        for low, high, points in outlines(axes.collections[0]):
            values = hidden((torch.as_tensor(points) - MEAN) / STD)[:, unit].detach().numpy()
            assert ((values > low - 0.005) & (values < high + 0.005)).all()


@pytest.mark.parametrize(("num_units", "num_triples"), [(3, 1), (4, 4), (5, 10)])
def test_every_triple_of_units_has_a_panel(num_units, num_triples):
    hidden, labels = np.random.default_rng(0).random((30, num_units)), np.arange(30) % 2
    figure = draw_unit_space(hidden, labels, ["a", "b"])
    panels = [axes for axes in figure.axes if axes.collections]
    assert len(panels) == num_triples
    for axes in panels:
        triple = [int(label.removeprefix("unit ")) - 1 for label in
                  (axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel())]  # fmt: skip
        for label, points in enumerate(axes.collections):
            np.testing.assert_allclose(np.transpose(points._offsets3d), hidden[labels == label][:, triple])


@pytest.mark.parametrize(
    ("sizes", "suits"), [((2, 1), False), ((2, 2, 1), False), ((2, 3, 1), True), ((2, 9, 1), False)]
)
def test_the_space_of_three_units_wants_three_and_not_too_many(sizes, suits):
    assert UnitSpace().suits(network(*sizes), plane_data()) is suits
    assert PlaneUnits().suits(network(*sizes), plane_data()) is (len(sizes) > 2)


def test_the_space_of_three_units_shows_the_last_hidden_layer():
    model = network(2, 3, 1)
    (axes,) = draw(UnitSpace(), model, plane_data(), X, Y)["fit/unit_space"].axes
    hidden = model.net[:-1](X).detach().numpy()
    for label, points in enumerate(axes.collections):
        np.testing.assert_allclose(np.transpose(points._offsets3d), hidden[label == Y])


def test_a_network_without_hidden_units_has_no_lines():
    assert draw(Plane(), network(2, 1), plane_data(), X, Y).keys() == {"fit/plane"}


@pytest.mark.parametrize("data", [data_like("binary", [3]), data_like("regression", [2]), None])
def test_a_plane_is_two_inputs_and_classes(data):
    assert not Plane().suits(network(3, 1), data)
