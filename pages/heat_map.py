"""A heat map of rows, such as layers, against steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pages.charts import Charts, framed

if TYPE_CHECKING:
    from bokeh.plotting import figure as Figure

ROW = 26  # pixels


def heat_map(
    charts: Charts,
    title: str,
    steps: np.ndarray,
    rows: Mapping[str, np.ndarray],
    *,
    logarithmic: bool,
    limits: tuple[float, float] | None = None,
) -> str:
    """A cell for each row and step, the first row on top; as HTML.

    Args:
        charts: of the page.
        title: plain text.
        steps: (S,), rising.
        rows: by name, the values (S,) of each; NaN, and 0 on a logarithmic scale, stay empty.
        logarithmic: whether the colors follow the logarithm.
        limits: of the colors; default: the smallest and the largest value.
    """
    from bokeh.models import HoverTool, LinearColorMapper, LogColorMapper
    from bokeh.models.annotations import ColorBar

    table = np.array(list(rows.values()), float)
    fits = np.isfinite(table) & ((table > 0) | (not logarithmic))
    if not fits.any() or not len(steps):
        return ""
    low, high = limits or (float(table[fits].min()), float(table[fits].max()))
    edges = cell_edges(steps)
    names = list(rows)
    row, place = (index.ravel() for index in np.indices(table.shape))
    kept = fits.ravel()
    data = {
        "left": edges[place][kept].astype(np.float32),
        "right": edges[place + 1][kept].astype(np.float32),
        "top": (-row[kept]).astype(np.float32) + 0.48,
        "bottom": (-row[kept]).astype(np.float32) - 0.48,
        "value": table.ravel()[kept].astype(np.float32),
        "step": steps[place][kept].astype(np.float32),
        "row": [names[index] for index in row[kept]],
    }
    mapper = (LogColorMapper if logarithmic else LinearColorMapper)(
        palette="Viridis256", low=low, high=high if high > low else low * 1.001 + 1e-30
    )
    chart = charts.new_over_steps(
        height=70 + ROW * len(names), y_range=(-len(names) + 0.5, 0.5), output_backend="canvas"
    )
    chart.quad(
        left="left",
        right="right",
        top="top",
        bottom="bottom",
        source=data,
        line_color=None,
        fill_color={"field": "value", "transform": mapper},
    )
    chart.add_tools(HoverTool(tooltips=[("", "@row"), ("step", "@step{0,0}"), ("value", "@value{0.000e+0}")]))
    name_rows(chart, names)
    chart.add_layout(ColorBar(color_mapper=mapper, width=10, padding=8, background_fill_color=None), "right")
    return framed(title, charts.place(chart))


def name_rows(chart: Figure, names: Sequence[str]) -> None:
    """Write the names of a heat map's rows, the first on top, on its vertical axis."""
    from bokeh.models import FixedTicker

    ticks = [-place for place in range(len(names))]
    chart.yaxis.ticker = FixedTicker(ticks=ticks)
    chart.yaxis.major_label_overrides = dict(zip(ticks, names, strict=True))
    chart.yaxis.major_tick_out = 0
    chart.ygrid.visible = False


def cell_edges(steps: np.ndarray) -> np.ndarray:
    """The edges (S + 1,) of cells around steps (S,): in the middle between neighbors."""
    steps = np.asarray(steps, float)
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    middle = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([[2 * steps[0] - middle[0]], middle, [2 * steps[-1] - middle[-1]]])
