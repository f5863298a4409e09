"""The results of a sweep in pictures: score against each setting, parallel coordinates, heat maps of two settings."""

import math
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from callbacks.pictures.style import COLORS, SEQUENTIAL, drawing, new_figure, to_png
from sweeps.plan import Plan
from sweeps.space import Axis, Choice, number_in

MOST_LABELED = 12  # values of a flag
SMALL = 9  # points; for the many numbers of one picture
LETTER = 0.024  # width of a letter as a share of an axis
WIDE = 20  # values are drawn on a logarithmic scale if the largest is this many times the smallest


@drawing()
def draw_all(plan: Plan, runs: pd.DataFrame, settings: pd.DataFrame, folder: Path) -> list[Path]:
    """Write every picture that fits the sweep; returns their paths."""
    done = settings[settings["runs"] > 0]
    if done.empty:
        return []
    folder.mkdir(exist_ok=True)
    figures = {"score": score_figure(plan, runs, done)}
    if len(plan.axes) > 1:
        figures["parallel"] = parallel_figure(plan, done)
    for first, second in heat_pairs(plan, done):
        name = f"heat_{first.flag}_{second.flag}"
        figures[name] = heat_figure(plan, done, first, second, "mean", plan.monitor)
        if "gradient_ratio" in done and done["gradient_ratio"].notna().any():
            title = "gradient at the first layer over that at the last"
            figures[f"{name}_gradient"] = heat_figure(plan, done, first, second, "gradient_ratio", title)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        paths[-1].write_bytes(to_png(figure))
    return paths


def positions(axis: Axis, values: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Positions of values on an axis, and their labels; no labels for numbers on a scale."""
    if has_scale(axis):
        return np.array([number_in(value) for value in values], dtype=float), []
    assert isinstance(axis, Choice)
    return np.array([axis.values.index(value) for value in values], dtype=float), [
        label(value) for value in axis.values
    ]


def are_numbers(axis: Axis) -> bool:
    """Whether a flag's values are numbers rather than words."""
    return not isinstance(axis, Choice) or all(number_in(value) is not None for value in axis.values)


def has_scale(axis: Axis) -> bool:
    """Whether positions follow the numbers; words, and numbers that would crowd, are placed side by side."""
    if not are_numbers(axis) or not isinstance(axis, Choice):
        return are_numbers(axis)
    place = np.unique([number_in(value) for value in axis.values]).astype(float)
    return is_logarithmic(axis, place) or len(place) < 2 or np.diff(place).min() > 0.02 * np.ptp(place)


def label(value: str) -> str:
    """The last part of a file or class path."""
    return (
        value if value.startswith("[") else Path(value).name.removesuffix(".yaml").split("torch.optim.")[-1]
    )


def spans_decades(values: np.ndarray, wide: float = WIDE) -> bool:
    """Whether the values call for a logarithmic scale."""
    finite = values[np.isfinite(values)]
    return len(finite) > 1 and finite.min() > 0 and finite.max() / finite.min() >= wide


def is_logarithmic(axis: Axis, place: np.ndarray) -> bool:
    """Whether a flag's values belong on a logarithmic scale; learning rates always do."""
    by_nature = axis.flag.rpartition(".")[2] in ("lr", "max_lr", "weight_decay")
    return spans_decades(place, 1 if by_nature else WIDE)


def score_figure(plan: Plan, runs: pd.DataFrame, settings: pd.DataFrame) -> Figure:
    """One panel per varied flag: a dot for every run, and the best mean reached with each value of the flag.

    The colors show the first flag whose values are words.
    """
    columns = min(len(plan.axes), 3)
    rows = math.ceil(len(plan.axes) / columns)
    figure = new_figure(4.4 * columns, 3.8 * rows)
    done = runs[runs["score"].notna()]
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, axis in zip(panels, plan.axes, strict=False):
        for color, group in zip(COLORS, colored(plan, axis), strict=False):
            draw_scores(plan, axes, axis, group, color, done, settings)
        place, labels = positions(axis, done[axis.flag])
        set_scale(axes, axis, place, done["score"].to_numpy())
        if labels:
            set_labels(axes, np.arange(len(labels)), labels)
        axes.set(xlabel=axis.flag, ylabel=plan.monitor)
        axes.grid()
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)  # above the axes, off the dots
    for axes in figure.axes[len(plan.axes) :]:
        axes.set_visible(False)
    return figure


def colored(plan: Plan, axis: Axis) -> list[tuple[str, str]]:
    """Flag and value of each color in the panel of an axis; one empty pair if there is a single color."""
    for other in plan.axes:
        if not isinstance(other, Choice) or are_numbers(other) or other == axis:
            continue
        if 1 < len(other.values) <= len(COLORS):
            return [(other.flag, value) for value in other.values]
    return [("", "")]


def draw_scores(
    plan: Plan,
    axes: Axes,
    axis: Axis,
    group: tuple[str, str],
    color: str,
    done: pd.DataFrame,
    settings: pd.DataFrame,
) -> None:
    """Dots of one color, and their line; there is no line between values that are words."""
    flag, value = group
    if flag:
        done, settings = done[done[flag] == value], settings[settings[flag] == value]
    place, _ = positions(axis, done[axis.flag])
    name = label(value) if flag else "run"
    axes.plot(place, done["score"], "o", color=color, alpha=0.5, markersize=4, label=name)
    if isinstance(axis, Choice):
        place, _ = positions(axis, settings[axis.flag])
        by_place = settings.assign(place=place).groupby("place")["mean"]
        best = by_place.min() if plan.mode == "min" else by_place.max()
        axes.plot(
            best.index,
            best,
            "-" if are_numbers(axis) else "D",
            color=color,
            label="" if flag else "best mean",
        )


def set_scale(axes: Axes, axis: Axis, place: np.ndarray, scores: np.ndarray) -> None:
    """Use a logarithmic scale if values span decades; label each of a few values."""
    values = np.unique(place)
    if has_scale(axis) and is_logarithmic(axis, place):
        axes.set_xscale("log")
    if has_scale(axis) and isinstance(axis, Choice) and len(values) <= MOST_LABELED:
        set_labels(axes, values, [f"{value:g}" for value in values])
        axes.minorticks_off()
    elif has_scale(axis) and axes.get_xscale() == "linear" and all(value.is_integer() for value in place):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if spans_decades(scores):
        axes.set_yscale("log")


def set_labels(axes: Axes, place: np.ndarray, labels: list[str]) -> None:
    """Label the values on the axis; the labels slant if they would overlap."""
    scaled = np.log(place) if axes.get_xscale() == "log" else place
    room = np.diff(scaled).min() / np.ptp(scaled) if len(place) > 1 else 1.0
    style: Any = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(place, labels, **style if room < LETTER * max(map(len, labels)) else {})


def parallel_figure(plan: Plan, settings: pd.DataFrame) -> Figure:
    """One line per setting, through its value of every flag to its mean score; better ones are brighter."""
    figure = new_figure(2.4 * (len(plan.axes) + 1) + 1)
    axes = figure.subplots()
    columns = [positions(axis, settings[axis.flag]) for axis in plan.axes]
    columns.append((settings["mean"].to_numpy(), []))
    heights = np.column_stack([unit(place) for place, _ in columns])
    goodness = 1 - heights[:, -1] if plan.mode == "min" else heights[:, -1]
    colors = colormaps[SEQUENTIAL](0.9 * goodness)  # the brightest yellow is hard to see on white
    for place in np.argsort(goodness):  # the best are drawn last, on top
        axes.plot(heights[place], color=colors[place], alpha=0.8)
    for column, (place, labels) in enumerate(columns):
        axes.axvline(column, color="black", linewidth=0.8)
        if labels:
            at = dict(zip(place, unit(place), strict=True))
            for value, height in at.items():
                axes.annotate(
                    labels[int(value)], (column, height), (4, 2), textcoords="offset points", fontsize=SMALL
                )
        else:
            for value in (place.min(), place.max()):
                axes.annotate(f"{value:.3g}", (column, float(unit(place)[place == value][0])), fontsize=SMALL)
    names = [*(axis.flag for axis in plan.axes), plan.monitor]
    axes.set_xticks(range(len(names)), names, fontsize=SMALL)
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(names) - 0.7)
    axes.spines[:].set_visible(False)
    return figure


def unit(values: np.ndarray) -> np.ndarray:
    """Values scaled to [0, 1]; logarithms are scaled instead if they suit the values better."""
    scaled = np.log(values) if spans_decades(values) else values
    span = scaled.max() - scaled.min()
    return (scaled - scaled.min()) / span if span > 0 else np.full(len(values), 0.5)


def heat_pairs(plan: Plan, settings: pd.DataFrame) -> Iterator[tuple[Choice, Choice]]:
    """Pairs of flags with listed values that both took several values."""
    listed = [axis for axis in plan.axes if isinstance(axis, Choice) and settings[axis.flag].nunique() > 1]
    return combinations(listed, 2)


def heat_figure(
    plan: Plan, settings: pd.DataFrame, first: Choice, second: Choice, column: str, title: str
) -> Figure:
    """One cell per pair of values: the best mean over the other flags, or the median of a gradient ratio."""
    grouped = settings.groupby([second.flag, first.flag])[column]
    best = grouped.min if plan.mode == "min" else grouped.max
    cells = best() if column == "mean" else grouped.median()
    table = cells.unstack().reindex(index=list(second.values), columns=list(first.values))
    values = table.to_numpy(dtype=float)
    figure = new_figure(1.6 + 0.9 * len(first.values), 1.4 + 0.6 * len(second.values))
    axes = figure.subplots()
    shown = np.where(values > 0, values, np.nan) if spans_decades(values) else values
    norm = LogNorm() if spans_decades(values) else Normalize()
    image = axes.imshow(shown, cmap=SEQUENTIAL, norm=norm, aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        dark = np.isfinite(shown[y, x]) and norm(shown[y, x]) < 0.6
        axes.text(
            x, y, f"{value:.3g}", ha="center", va="center", color="white" if dark else "black", fontsize=SMALL
        )
    axes.set_xticks(range(len(first.values)), [label(value) for value in first.values])
    axes.set_yticks(range(len(second.values)), [label(value) for value in second.values])
    axes.set(xlabel=first.flag, ylabel=second.flag, title=title)
    axes.title.set_fontsize(SMALL)
    figure.colorbar(image)
    return figure
