"""A feature with two values, such as the sex: two columns, each of which shows what the network says at its value."""

import numpy as np
import pytest
import torch

from callbacks.pictures import Plane, PlaneUnits
from callbacks.pictures.plane_axes import PlaneAxes, two_values
from tests.callbacks.pictures.plain import data_like, draw, network

SEX = {
    "feature_names": ["male", "Age"],
    "axis_names": {"male": "sex"},
    "value_names": {"male": ("female", "male")},
}
STATISTICS = {"input_mean": torch.tensor([0.6, 30.0]), "input_std": torch.tensor([0.5, 15.0])}


def passengers(seed=0, low=0.0, high=1.0):
    """Sex and age in the units of the table, and labels that neither decides."""
    generator = np.random.default_rng(seed)
    raw = np.column_stack([generator.choice([low, high], 200), generator.integers(0, 80, 200)])
    return raw, (generator.random(200) < 0.7 - 0.4 * (raw[:, 0] == high) - raw[:, 1] / 300).astype(int)


def inputs(raw, columns=slice(None)):
    mean, std = (STATISTICS[name].numpy()[columns] for name in ("input_mean", "input_std"))
    return torch.as_tensor((raw - mean) / std)


def sensitive(seed):
    """A network whose answer changes with the age at other ages for men than for women."""
    model = network(2, 4, 1)
    torch.manual_seed(seed)
    with torch.no_grad():
        model.net[0].weight.normal_(0, 3)
        model.net[2].weight.normal_(0, 3)
        model.net[2].bias.fill_(0)
    return model


def colors_below(axes, raw, labels, columns=(0, 1)):
    """Whether the background below each drawn sample is on the side of class 1."""
    points = np.concatenate([each.get_offsets() for each in axes.collections[-2:]])
    order = np.argsort(labels, kind="stable")
    bands = [each for each in axes.collections if len(getattr(each, "levels", [])) == 11]
    found = np.full(len(points), np.nan)
    for band in bands:
        for level, path in zip(band.levels[:-1], band.get_paths(), strict=True):
            if len(path.vertices):
                found[path.contains_points(points, radius=1e-9)] = level + 0.05
    assert not np.isnan(found).any()
    assert np.array_equal(points[:, columns[1]], raw[order][:, columns[1]])
    return found > 0.5, labels[order]


@pytest.mark.parametrize("seed", range(4))
def test_as_many_samples_lie_on_the_wrong_color_as_are_predicted_wrongly(seed):
    (raw, labels), model = passengers(seed), sensitive(seed)
    figures = draw(
        Plane(),
        model,
        data_like("binary", [2], statistics=STATISTICS, **SEX),
        inputs(raw),
        torch.as_tensor(labels),
    )
    blue, truth = colors_below(figures["fit/plane"].axes[0], raw, labels)
    with torch.no_grad():
        predicted = model(inputs(raw)).numpy().ravel() > 0
    assert 20 < (predicted != labels).sum() < 180
    assert (blue != truth).sum() == (predicted != labels).sum()


def test_the_columns_have_names_and_a_gap_between_them():
    raw, labels = passengers()
    figure = draw(
        Plane(), network(2, 1), data_like("binary", [2], **SEX), torch.as_tensor(raw), torch.as_tensor(labels)
    )["fit/plane"]
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["female", "male"]
    bands = [each for each in axes.collections if len(getattr(each, "levels", [])) == 11]
    spans = [np.concatenate([path.vertices for path in band.get_paths()])[:, 0] for band in bands]
    np.testing.assert_allclose([(span.min(), span.max()) for span in spans], [(-0.42, 0.42), (0.58, 1.42)])


@pytest.mark.parametrize("seed", range(3))
def test_a_units_line_crosses_a_column_where_its_weighted_sum_is_zero(seed):
    (raw, labels), model = passengers(seed), sensitive(seed)
    data = data_like("binary", [2], statistics=STATISTICS, **SEX)
    axes = draw(Plane(), model, data, inputs(raw), torch.as_tensor(labels))["fit/lines"].axes[0]
    assert axes.lines
    for line, text in zip(axes.lines, [each for each in axes.texts if each.get_text()], strict=True):
        start, end = line.get_xydata()
        assert start[1] == end[1]
        value = round((start[0] + end[0]) / 2)
        assert (start[0], end[0]) == pytest.approx((value - 0.42, value + 0.42))
        sums = model.net[0](inputs(np.array([[value, start[1]]])))
        assert float(sums[0, int(text.get_text()) - 1].detach()) == pytest.approx(0, abs=1e-6)


def test_each_units_output_in_a_column_is_that_at_its_value():
    raw, labels = passengers()
    model = sensitive(1)
    data = data_like("binary", [2], statistics=STATISTICS, **SEX)
    figure = draw(PlaneUnits(), model, data, inputs(raw), torch.as_tensor(labels))["fit/units"]
    for unit, axes in enumerate(each for each in figure.axes if each.get_title().startswith("unit")):
        for value, band in zip((0.0, 1.0), axes.collections[:2], strict=True):
            for low, high, path in zip(band.levels[:-1], band.levels[1:], band.get_paths(), strict=True):
                points = np.column_stack([np.full(len(path.vertices), value), path.vertices[:, 1]])
                output = model.net[1](model.net[0](inputs(points)))[:, unit].detach().numpy()
                assert ((output > low - 0.05) & (output < high + 0.05)).all()


def test_values_of_any_size_in_either_place_and_without_names():
    raw, labels = passengers(low=-1.0, high=3.0)
    plane = PlaneAxes(raw[:, ::-1], labels)
    assert plane.pairs == [None, (-1.0, 3.0)]
    assert plane.value_names == [[], ["-1", "3"]]
    assert (plane.low[1], plane.high[1]) == (-3.0, 5.0)
    parts = list(plane.parts(plane.grid()))
    np.testing.assert_allclose([(y[0], y[-1]) for _, y, _ in parts], [(-2.68, 0.68), (1.32, 4.68)])
    for value, (x, _, inside) in zip((-1.0, 3.0), parts, strict=True):
        assert (inside[..., 1] == value).all()
        np.testing.assert_array_equal(inside[0, :, 0], x)
        assert set(raw[:, 1]) <= set(x)
    (line,) = plane.lines(np.array([1.0, 20.0]), 0.0)[:1]
    assert [line[0][0], line[1][0]] == pytest.approx([20.0, 20.0])


def test_two_features_with_two_values_are_four_fields_without_lines():
    raw, labels = passengers()
    raw[:, 1] = raw[:, 1] > 40
    plane = PlaneAxes(raw, labels)
    assert [tuple(inside[0, 0]) for _, _, inside in plane.parts(plane.grid())] == [
        (0, 0),
        (1, 0),
        (0, 1),
        (1, 1),
    ]
    figures = draw(
        Plane(), network(2, 3, 1), data_like("binary", [2]), torch.as_tensor(raw), torch.as_tensor(labels)
    )
    assert figures.keys() == {"fit/plane"}


@pytest.mark.parametrize(
    ("column", "names", "pair"),
    [
        ([0.0, 1.0] * 20, None, (0.0, 1.0)),
        ([0.0, 1.0 + 1e-7] * 20, None, (0.0, 1.0 + 1e-7)),
        ([0.0, 1.0, 1.0 - 1e-7] * 20, None, (0.0, 1.0)),
        ([1.0, 1.0], ("no", "yes"), (0.0, 1.0)),
        ([0.0, 1.0] * 2, None, None),  # four samples, as of an exclusive or: each can be seen in the plane
        ([0.0, 1.0, 2.0] * 20, None, None),
        ([1.0] * 20, None, None),
        (np.linspace(0, 1, 40), None, None),
    ],
)
def test_which_features_have_two_values(column, names, pair):
    assert two_values(np.asarray(column), names) == pair
