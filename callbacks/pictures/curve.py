"""A regression on one input: the data, the fit, and what each hidden unit contributes to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
from torch import Tensor, nn

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.network import (
    array,
    axis_name,
    dense_layers,
    in_table_units,
    is_table,
    prepared_inputs,
    raw_inputs,
    raw_targets,
)
from callbacks.pictures.style import BLACK, BLUE, MANY_COLORS, VERMILION, legend_below, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUM_POINTS = 500
MAX_NAMED = 10  # units shown in the legend; as many as there are colors
DATA: dict[str, Any] = {"s": 14, "color": "0.68", "linewidths": 0}


@dataclass
class Fit:
    """A network as a function of one input, everything in the units of the table.

    Args:
        x, y: the data (N,).
        grid, curve: the fit (G,).
        mse: mean squared error on the data.
        terms: (G, H), what each unit of the last hidden layer adds; with `offset` they sum up to the fit.
        cut: half-way between the two extreme values of a unit (0.5 of a sigmoid); None if it has no such values.
        steps: (G,), the fit if each unit of the last hidden layer jumped there from one extreme to the other.
        thresholds: (H,), where the weighted sum of each unit of the first hidden layer is 0: x = -b / w.
        is_shallow: whether the first hidden layer is also the last.
    """

    x: np.ndarray
    y: np.ndarray
    grid: np.ndarray
    curve: np.ndarray
    mse: float
    terms: np.ndarray | None = None
    offset: float = 0.0
    cut: float | None = None
    steps: np.ndarray | None = None
    thresholds: np.ndarray | None = None
    is_shallow: bool = False
    names: tuple[str, str] = ("x", "y")


class Curve(Picture):
    """`fit/curve`: data and fit. `fit/terms`: what each hidden unit adds. `fit/steps`: the units as steps."""

    how_to_read: ClassVar = {
        "fit/curve": "The line is the fit, the dots are the data. The ticks at the bottom are the thresholds -b/w of "
        "the first layer's units: the fit can bend near them, and hardly bends far from all of them.",
        "fit/terms": "Top, what each unit of the last hidden layer adds; bottom, their sum, which is the fit.",
        "fit/steps": "The same units as switches, off or on. Where the steps are far from the fit, the soft flanks "
        "of the units matter more than their thresholds.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return is_table(data, "regression") and spec_of(data).in_shape[0] == 1

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        fit = take_apart(pl_module, data, *batch)
        yield "fit/curve", draw_curve(fit)
        if fit.terms is not None:
            yield "fit/terms", draw_terms(fit)
        if fit.steps is not None:
            yield "fit/steps", draw_steps(fit)


def take_apart(pl_module: pl.LightningModule, data: Any, x: Tensor, y: Tensor) -> Fit:
    """The fit to a batch x (N, 1), y (N,), and its terms if the last layer is linear in hidden units."""
    points, targets = raw_inputs(data, x)[:, 0], raw_targets(data, y).ravel()
    margin = 0.05 * float(np.ptp(points))
    grid = np.linspace(points.min() - margin, points.max() + margin, NUM_POINTS)
    inputs = prepared_inputs(data, grid[:, None], like=x)
    curve = raw_targets(data, pl_module(inputs)).ravel()
    mse = float(np.mean((raw_targets(data, pl_module(x)).ravel() - targets) ** 2))
    names = (axis_name(data, 0), spec_of(data).target_name)
    fit = Fit(points, targets, grid, curve, mse, names=names)
    layers = dense_layers(pl_module, inputs)
    last, hidden = layers[-1]
    if len(layers) < 2 or last.out_features != 1:
        return fit
    zero, one = raw_targets(data, x.new_tensor([0.0, 1.0]))
    weight = array(last.weight)[0] * (one - zero)
    fit.terms = array(hidden) * weight
    fit.offset = zero if last.bias is None else float(raw_targets(data, last.bias)[0])
    if (ends := extremes(pl_module)) is not None:
        fit.cut = sum(ends) / 2
        fit.steps = np.where(array(hidden) > fit.cut, ends[1], ends[0]) @ weight + fit.offset
    if layers[0][0].in_features == 1:
        slope, bias = in_table_units(layers[0][0], data)
        fit.thresholds, fit.is_shallow = -bias / slope[:, 0], len(layers) == 2
    return fit


def extremes(pl_module: pl.LightningModule) -> tuple[float, float] | None:
    """The smallest and the largest value of a hidden unit, if the activation function has both."""
    kinds = {type(module) for module in pl_module.modules()}
    found = [ends for kind, ends in ((nn.Sigmoid, (0.0, 1.0)), (nn.Tanh, (-1.0, 1.0))) if kind in kinds]
    return found[0] if len(found) == 1 else None


def in_view(fit: Fit) -> np.ndarray:
    """(H,), whether the threshold of each unit is on the grid."""
    assert fit.thresholds is not None
    return (fit.thresholds > fit.grid[0]) & (fit.thresholds < fit.grid[-1])


def draw_curve(fit: Fit) -> Figure:
    """Data and fit, and along the bottom the thresholds within the range."""
    figure = new_figure()
    axes = figure.subplots()
    axes.scatter(fit.x, fit.y, label="data", **DATA)
    axes.plot(fit.grid, fit.curve, color=BLUE, label="fit")
    if fit.thresholds is not None:
        inside = fit.thresholds[in_view(fit)]
        bottom = axes.get_xaxis_transform()  # from 0 at the bottom to 1 at the top
        label = f"threshold -b/w, {len(inside)} of {len(fit.thresholds)} units"
        axes.vlines(inside, 0, 0.05, color=VERMILION, transform=bottom, label=label)
    _finish(figure, axes, fit, f"mean squared error {fit.mse:.3g}")
    figure.suptitle("Data and fit")
    return figure


def draw_terms(fit: Fit) -> Figure:
    """Top: what each unit adds, with a dot at its threshold. Bottom: their sum, with the data."""
    assert fit.terms is not None
    figure = new_figure(5.0, 5.6)
    above, below = figure.subplots(2, 1, sharex=True)
    num_units = fit.terms.shape[1]
    for unit, term in enumerate(fit.terms.T):
        color = MANY_COLORS[unit % len(MANY_COLORS)]
        above.plot(fit.grid, term, color=color, linewidth=1.5, label=f"unit {unit + 1}")
        if fit.is_shallow and fit.thresholds is not None and in_view(fit)[unit]:
            height = np.interp(fit.thresholds[unit], fit.grid, term)
            above.plot(fit.thresholds[unit], height, "o", color=color, markersize=5)
    dots = ", dot: threshold -b/w" if fit.is_shallow else " of the last layer"
    above.set_title(f"each of {num_units} hidden units{dots}")
    above.set_ylabel(f"added to {fit.names[1]}")
    if num_units <= MAX_NAMED:
        above.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    below.scatter(fit.x, fit.y, label="data", **DATA)
    total = fit.terms.sum(1) + fit.offset
    below.plot(fit.grid, total, color=BLACK, label=f"sum of all units {fit.offset:+.3g}")
    _finish(figure, below, fit, "")
    figure.suptitle("What the hidden units add up to")
    return figure


def draw_steps(fit: Fit) -> Figure:
    """The fit, and the steps that result if each hidden unit takes only its two extreme values."""
    assert fit.steps is not None
    figure = new_figure()
    axes = figure.subplots()
    axes.scatter(fit.x, fit.y, label="data", **DATA)
    axes.plot(fit.grid, fit.curve, color=BLUE, label="fit")
    axes.plot(fit.grid, fit.steps, color=VERMILION, label=f"hidden units cut at {fit.cut:g}")
    _finish(figure, axes, fit, "")
    figure.suptitle("Hidden units read as steps")
    return figure


def _finish(figure: Figure, axes: Axes, fit: Fit, title: str) -> None:
    axes.set(xlabel=fit.names[0], ylabel=fit.names[1], title=title)
    legend_below(figure, axes)
