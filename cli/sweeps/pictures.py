"""What a sweep found, in pictures: score against each setting, parallel coordinates, heat maps of two settings."""

import math
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cli.sweeps.plan import Plan
from cli.sweeps.space import Axis, Choice, number_in

WIDE = 20  # values whose largest is so many times the smallest are drawn on a logarithmic scale
BLUE, ORANGE = "#0072B2", "#D55E00"  # told apart by everyone; Okabe and Ito 2008


def draw_all(plan: Plan, runs: pd.DataFrame, settings: pd.DataFrame, folder: Path) -> list[Path]:
    """Write every picture that the sweep gives rise to; their paths."""
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
        figure.savefig(paths[-1], dpi=100)
    return paths


def positions(axis: Axis, values: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Where values stand on an axis, and its labels; without labels they are numbers on a scale of their own."""
    numbers = [number_in(value) for value in values]
    if None not in numbers:
        return np.array(numbers, dtype=float), []
    assert isinstance(axis, Choice)
    return np.array([axis.values.index(value) for value in values], dtype=float), [
        label(value) for value in axis.values
    ]


def label(value: str) -> str:
    """A file or class path by its last name."""
    return (
        value if value.startswith("[") else Path(value).name.removesuffix(".yaml").split("torch.optim.")[-1]
    )


def spans_decades(values: np.ndarray, wide: float = WIDE) -> bool:
    """Whether a logarithmic scale is the right one."""
    finite = values[np.isfinite(values)]
    return len(finite) > 1 and finite.min() > 0 and finite.max() / finite.min() >= wide


def is_logarithmic(axis: Axis, place: np.ndarray) -> bool:
    """Whether a flag's values belong on a logarithmic scale; learning rates always do."""
    by_nature = axis.flag.rpartition(".")[2] in ("lr", "max_lr", "weight_decay")
    return spans_decades(place, 1 if by_nature else WIDE)


def score_figure(plan: Plan, runs: pd.DataFrame, settings: pd.DataFrame) -> Figure:
    """A panel per varied flag: every run a dot, and the best mean that each value of the flag reached, joined."""
    columns = min(len(plan.axes), 3)
    rows = math.ceil(len(plan.axes) / columns)
    figure = Figure(figsize=(4.2 * columns, 3.6 * rows), layout="constrained")
    done = runs[runs["score"].notna()]
    for axes, axis in zip(figure.subplots(rows, columns, squeeze=False).flat, plan.axes, strict=False):
        place, labels = positions(axis, done[axis.flag])
        axes.plot(place, done["score"], "o", color=BLUE, alpha=0.5, markersize=4, label="run")
        if isinstance(axis, Choice):
            place, _ = positions(axis, settings[axis.flag])
            by_place = settings.assign(place=place).groupby("place")["mean"]
            best = by_place.min() if plan.mode == "min" else by_place.max()
            axes.plot(best.index, best, "-", color=ORANGE, label="best mean over seeds")
        set_scale(axes, axis, done)
        if labels:
            axes.set_xticks(range(len(labels)), labels, rotation=30 if max(map(len, labels)) > 8 else 0)
        axes.set(xlabel=axis.flag, ylabel=plan.monitor)
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    for axes in figure.axes[len(plan.axes) :]:
        axes.set_visible(False)
    return figure


def set_scale(axes: Axes, axis: Axis, done: pd.DataFrame) -> None:
    place, labels = positions(axis, done[axis.flag])
    if not labels and is_logarithmic(axis, place):
        axes.set_xscale("log")
    elif not labels and all(value.is_integer() for value in place):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if spans_decades(done["score"].to_numpy()):
        axes.set_yscale("log")


def parallel_figure(plan: Plan, settings: pd.DataFrame) -> Figure:
    """A line per setting through its value of every flag to its mean score, the better the brighter."""
    figure = Figure(figsize=(2.4 * (len(plan.axes) + 1) + 1, 4), layout="constrained")
    axes = figure.subplots()
    columns = [positions(axis, settings[axis.flag]) for axis in plan.axes]
    columns.append((settings["mean"].to_numpy(), []))
    heights = np.column_stack([unit(place) for place, _ in columns])
    goodness = 1 - heights[:, -1] if plan.mode == "min" else heights[:, -1]
    colors = figure_colors(goodness)
    for place in np.argsort(goodness):  # the best are drawn last, on top
        axes.plot(heights[place], color=colors[place], alpha=0.8)
    for column, (place, labels) in enumerate(columns):
        axes.axvline(column, color="black", linewidth=0.8)
        if labels:
            at = dict(zip(place, unit(place), strict=True))
            for value, height in at.items():
                axes.annotate(
                    labels[int(value)], (column, height), (4, 2), textcoords="offset points", fontsize=8
                )
        else:
            for value in (place.min(), place.max()):
                axes.annotate(f"{value:.3g}", (column, float(unit(place)[place == value][0])), fontsize=8)
    names = [*(axis.flag for axis in plan.axes), plan.monitor]
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(names) - 0.7)
    axes.spines[:].set_visible(False)
    return figure


def unit(values: np.ndarray) -> np.ndarray:
    """Values on [0, 1], by their logarithms where these are the right scale."""
    scaled = np.log(values) if spans_decades(values) else values
    span = scaled.max() - scaled.min()
    return (scaled - scaled.min()) / span if span > 0 else np.full(len(values), 0.5)


def figure_colors(goodness: np.ndarray) -> np.ndarray:
    from matplotlib import colormaps

    return colormaps["viridis"](0.9 * goodness)


def heat_pairs(plan: Plan, settings: pd.DataFrame) -> Iterator[tuple[Choice, Choice]]:
    """Pairs of listed flags that both took several values."""
    listed = [axis for axis in plan.axes if isinstance(axis, Choice) and settings[axis.flag].nunique() > 1]
    return combinations(listed, 2)


def heat_figure(
    plan: Plan, settings: pd.DataFrame, first: Choice, second: Choice, column: str, title: str
) -> Figure:
    """A cell per pair of values: the best mean over the other flags; of a gradient ratio the median."""
    grouped = settings.groupby([second.flag, first.flag])[column]
    best = grouped.min if plan.mode == "min" else grouped.max
    cells = best() if column == "mean" else grouped.median()
    table = cells.unstack().reindex(index=list(second.values), columns=list(first.values))
    values = table.to_numpy(dtype=float)
    figure = Figure(
        figsize=(1.6 + 0.9 * len(first.values), 1.4 + 0.6 * len(second.values)), layout="constrained"
    )
    axes = figure.subplots()
    shown = np.where(values > 0, values, np.nan) if spans_decades(values) else values
    norm = LogNorm() if spans_decades(values) else Normalize()
    image = axes.imshow(shown, cmap="viridis", norm=norm, aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        dark = np.isfinite(shown[y, x]) and norm(shown[y, x]) < 0.6
        axes.text(
            x, y, f"{value:.3g}", ha="center", va="center", color="white" if dark else "black", fontsize=8
        )
    axes.set_xticks(range(len(first.values)), [label(value) for value in first.values])
    axes.set_yticks(range(len(second.values)), [label(value) for value in second.values])
    axes.set(xlabel=first.flag, ylabel=second.flag, title=title)
    axes.title.set_fontsize(10)
    figure.colorbar(image)
    return figure
