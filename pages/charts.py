"""Charts for a page: lines over steps, with a linked crosshair.

Bokeh draws them. Its script is embedded, so a page needs no network. It takes a second to import, so it is only imported
where a chart is made. Colors of axes and grids come from page.css, which knows light and dark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from callbacks.pictures.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from pages.thinning import thin

if TYPE_CHECKING:
    from bokeh.models.annotations import Span
    from bokeh.models.ranges import Range
    from bokeh.plotting import figure as Figure

# Those of the pictures that can be told from a white and from a black background.
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
HEIGHT = 230  # pixels
WIDE = 20.0  # an axis is logarithmic at first if the largest value is so many times the smallest
FONT = "system-ui, sans-serif"


@dataclass(frozen=True)
class Curve:
    """A line of a chart.

    Args:
        name: for the legend.
        steps, values: (N,), finite, by rising step.
        color: as CSS writes it.
        dashed: for a second line of the same color.
    """

    name: str
    steps: np.ndarray
    values: np.ndarray
    color: str
    dashed: bool = False


class Charts:
    """The charts of one page. Where a chart is to stand, put what its method returns.

    Args:
        resumed_at: steps at which charts over steps get a dotted line.
    """

    def __init__(self, resumed_at: Sequence[int] = ()) -> None:
        self.resumed_at = resumed_at
        self._figures: dict[str, Any] = {}
        self._embedded: tuple[str, dict[str, str]] | None = None
        self._crosshair: Span | None = None
        self._steps: Range | None = None

    def __bool__(self) -> bool:
        return bool(self._figures)

    def over_steps(
        self, title: str, curves: Sequence[Curve], *, logarithmic: bool | None = None, smooth: bool = True
    ) -> str:
        """Lines over steps, thinned, with a switch for a logarithmic axis and values at the crosshair; as HTML.

        Args:
            title: plain text.
            curves: empty ones are left out.
            logarithmic: whether the axis begins as a logarithmic one; default: if the values span a factor of 20.
            smooth: let the slider of the page smooth these lines.
        """
        curves = [curve for curve in curves if len(curve.values)]
        if not curves:
            return ""
        values = np.concatenate([curve.values for curve in curves])
        can_be_log = bool((values > 0).all())
        is_log = can_be_log and (spans_decades(values) if logarithmic is None else logarithmic)
        sources: dict[str, tuple[Curve, Any]] = {}
        legend = []
        for curve in curves:
            name = f"curve-{len(self._figures)}-{len(sources)}"
            sources[name] = (curve, self._source(name, curve, smooth))
            dash = " dashed" if curve.dashed else ""
            legend.append(
                f'<span class="key{dash}" style="--key:{curve.color}">{escape(curve.name)} '
                f'<b data-source="{name}"></b></span>'
            )
        drawn = [("linear", not is_log), ("log", is_log)] if can_be_log else [("linear", True)]
        panels = "".join(
            f'<div class="{scale}"{"" if shown else " hidden"}>{self._lines(list(sources.values()), scale)}</div>'
            for scale, shown in drawn
        )
        switch = (
            f'<label class="switch"><input type="checkbox" data-log{" checked" if is_log else ""}>log axis</label>'
            if can_be_log
            else ""
        )
        return framed(title, panels, f'<span class="keys">{"".join(legend)}</span>', switch)

    def _source(self, name: str, curve: Curve, smooth: bool) -> Any:
        from bokeh.models import ColumnDataSource

        steps, values = thin(curve.steps, curve.values)
        data: dict[str, Any] = {"step": steps.astype(np.float32), "value": values.astype(np.float32)}
        data["shown"] = data["value"].copy()
        return ColumnDataSource(data, name=name, tags=["smooth"] if smooth else [])

    def _lines(self, curves: Sequence[tuple[Curve, Any]], scale: str) -> str:
        chart = self.new_over_steps(y_axis_type=scale)
        for curve, source in curves:
            dash = "dashed" if curve.dashed else "solid"
            if "smooth" in source.tags:
                chart.line(
                    "step",
                    "value",
                    source=source,
                    color=curve.color,
                    alpha=0.3,
                    visible=False,
                    name=f"{source.name}-{scale}",
                )
            chart.line("step", "shown", source=source, color=curve.color, line_width=1.8, line_dash=dash)
            if len(source.data["step"]) == 1:
                chart.scatter("step", "shown", source=source, color=curve.color, size=7)
        return self.place(chart)

    def new_over_steps(self, **options: Any) -> Figure:
        """A chart whose steps and crosshair are those of all others."""
        from bokeh.models import CrosshairTool, CustomJS, DataRange1d, NumeralTickFormatter
        from bokeh.models.annotations import Span

        if self._crosshair is None:
            self._crosshair = Span(dimension="height", line_width=1, line_color="#888888")
            self._steps = DataRange1d(range_padding=0.02)
        chart = new_chart(x_range=self._steps, tools="xbox_zoom,reset", **options)
        chart.add_tools(CrosshairTool(overlay=self._crosshair))
        chart.xaxis.formatter = NumeralTickFormatter(format="0,0")
        chart.js_on_event("mousemove", CustomJS(code="showValuesAt(cb_obj.x)"))
        chart.js_on_event("mouseleave", CustomJS(code="showValuesAt(null)"))
        chart.js_on_event("tap", CustomJS(code="showValuesAt(cb_obj.x)"))
        for step in self.resumed_at:
            chart.add_layout(
                Span(location=step, dimension="height", line_dash="dotted", line_color="#888888")
            )
        return chart

    def place(self, chart: Any) -> str:
        """Keep a Bokeh figure for this page; returns what stands for it until `fill_in`."""
        key = f"chart{len(self._figures)}"
        self._figures[key] = chart
        return f"<bokeh-{key}>"

    def fill_in(self, html: str) -> str:
        """The HTML with every chart in its place."""
        divs = self._components()[1]
        return re.sub(r"<bokeh-(chart\d+)>", lambda match: divs[match[1]], html)

    def script(self) -> str:
        """The charts' data, as a script."""
        return self._components()[0]

    def library(self) -> str:
        """Bokeh's own script."""
        from bokeh.resources import Resources

        return Resources(mode="inline", components=["bokeh"], minified=True, log_level="warn").render_js()

    def _components(self) -> tuple[str, dict[str, str]]:
        if self._embedded is None:
            if not self._figures:
                return "", {}
            from bokeh.embed import components

            self._embedded = components(self._figures)
        return self._embedded


def new_chart(**options: Any) -> Figure:
    """An empty chart as wide as its place; the guides' colors are set in page.css."""
    from bokeh.plotting import figure

    settings: dict[str, Any] = {
        "height": HEIGHT,
        "sizing_mode": "stretch_width",
        "toolbar_location": None,
        "tools": "",
        "background_fill_color": None,
        "border_fill_color": None,
        "outline_line_color": None,
        "output_backend": "svg",  # sharp on paper
        "min_border_right": 12,
    }
    chart = figure(**(settings | options))
    for axis in chart.axis:
        axis.major_label_text_font = FONT
        axis.major_label_text_font_size = "11px"
        axis.axis_label_text_font = FONT
        axis.axis_label_text_font_size = "11px"
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
        axis.major_tick_in = 0
        axis.major_tick_out = 3
    chart.yaxis.axis_line_color = None
    chart.xgrid.grid_line_color = None
    return chart


def framed(title: str, body: str, *beside: str) -> str:
    """A chart with its title, and what stands on the title's line."""
    caption = f"<figcaption><strong>{escape(title)}</strong>{''.join(beside)}</figcaption>"
    return f'<figure class="chart">{caption}{body}</figure>'


def grid(charts: Sequence[str]) -> str:
    """Charts side by side where there is room."""
    shown = [chart for chart in charts if chart]
    return f'<div class="charts">{"".join(shown)}</div>' if shown else ""


def spans_decades(values: np.ndarray) -> bool:
    """Whether positive values call for a logarithmic axis."""
    return bool(values.max() >= WIDE * values.min())


def shades(count: int) -> list[str]:
    """So many colors in order, from early to late, none too light or too dark for its background."""
    from bokeh.palettes import Viridis256

    return [Viridis256[int(place)] for place in np.linspace(50, 205, count)]
