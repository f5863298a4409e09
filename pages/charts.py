"""Charts for a page: the numbers of each as JSON next to where it stands; pages/charts.js draws them with Bokeh.

Bokeh's script (https://bokeh.org) is embedded in the page, so it needs no network. Its Python part is not imported,
which would take a second, and half a second more for each dozen of charts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from callbacks.pictures.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from pages.thinning import thin

# Those of the pictures that can be told from a white and from a black background.
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
WIDE = 20.0  # an axis is logarithmic at first if the largest value is so many times the smallest
SCRIPTS = ("bokeh.min.js", "bokeh-api.min.js")
# Colors of viridis from early to late, without its ends, which are hard to see on black or on white.
EARLY_TO_LATE = ("#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d")


@dataclass(frozen=True)
class Curve:
    """A line over steps.

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


def over_steps(
    title: str, curves: Sequence[Curve], *, logarithmic: bool | None = None, smooth: bool = True
) -> str:
    """Lines over steps, thinned, with a switch for a logarithmic axis and values at the crosshair; as HTML.

    Args:
        title: plain text.
        curves: empty ones are left out.
        logarithmic: whether the axis begins as a logarithmic one; default: if the values span a factor of 20.
        smooth: let the page's slider smooth these lines.
    """
    curves = [curve for curve in curves if len(curve.values)]
    if not curves:
        return ""
    values = np.concatenate([curve.values for curve in curves])
    can_be_log = bool((values > 0).all())
    is_log = can_be_log and (spans_decades(values) if logarithmic is None else logarithmic)
    scales = {"linear": not is_log, "log": is_log} if can_be_log else {"linear": True}
    keys = "".join(key(curve.name, curve.color, value=True, dashed=curve.dashed) for curve in curves)
    switch = f'<label class="switch"><input type="checkbox" data-log{" checked" if is_log else ""}>log axis</label>'
    spec = {"kind": "lines", "smooth": smooth, "curves": [line_of(curve) for curve in curves]}
    beside = f'<span class="keys">{keys}</span>{switch if can_be_log else ""}'
    return framed(title, spec, beside, scales)


def line_of(curve: Curve) -> dict[str, Any]:
    """A curve for JSON, thinned."""
    steps, values = thin(curve.steps, curve.values)
    return {"steps": plain(steps), "values": plain(values), "color": curve.color, "dashed": curve.dashed}


def heat_map(
    title: str,
    steps: np.ndarray,
    rows: Mapping[str, np.ndarray],
    *,
    logarithmic: bool,
    limits: tuple[float, float] | None = None,
) -> str:
    """A cell for each row and step, the first row on top; as HTML.

    Args:
        title: plain text.
        steps: (S,), rising.
        rows: by name, the values (S,) of each; NaN, and 0 on a logarithmic scale, stay empty.
        logarithmic: whether the colors follow the logarithm.
        limits: of the colors; default: the smallest and the largest value.
    """
    table = drawable(np.array(list(rows.values()), float), logarithmic)
    if not np.isfinite(table).any():
        return ""
    low, high = limits or (float(np.nanmin(table)), float(np.nanmax(table)))
    spec = {
        "kind": "heat",
        "steps": plain(steps),
        "edges": plain(cell_edges(steps)),
        "rows": list(rows),
        "values": [plain(row) for row in table],
        "low": low,
        "high": high if high > low else low + (abs(low) or 1.0) * 1e-3,
        "log": logarithmic,
    }
    return framed(title, spec)


def profiles(
    title: str, names: Sequence[str], lines: Mapping[str, np.ndarray], *, logarithmic: bool, height: int = 230
) -> str:
    """Lines over names in a row, such as layers, colored from early to late; as HTML.

    Args:
        title: plain text.
        names: on the horizontal axis.
        lines: by name, the values (N,) of each; NaN, and 0 on a logarithmic axis, are gaps.
        logarithmic: whether the vertical axis is.
        height: in pixels.
    """
    tables = {name: drawable(np.asarray(values, float), logarithmic) for name, values in lines.items()}
    if not any(np.isfinite(values).any() for values in tables.values()):
        return ""
    colors = dict(zip(tables, shades(len(tables)), strict=True))
    drawn = [{"name": name, "color": colors[name], "values": plain(row)} for name, row in tables.items()]
    spec = {"kind": "profiles", "names": list(names), "lines": drawn, "log": logarithmic, "height": height}
    return framed(title, spec, legend(colors))


def outlines(title: str, lines: Sequence[tuple[np.ndarray, np.ndarray, str]]) -> str:
    """Outlines of histograms over each other; as HTML.

    Args:
        title: plain text.
        lines: edges (B + 1,), density (B,) and color of each.
    """
    if not lines:
        return ""
    drawn = [
        {"edges": plain(edges), "density": plain(density), "color": color} for edges, density, color in lines
    ]
    return framed(title, {"kind": "outlines", "lines": drawn})


def framed(
    title: str, spec: Mapping[str, Any], beside: str = "", scales: Mapping[str, bool] | None = None
) -> str:
    """A chart's title, its numbers, and a place for each axis it may have: its scale, and whether it shows at first."""
    panels = "".join(
        f'<div data-scale="{scale}"{"" if shown else " hidden"}></div>'
        for scale, shown in (scales or {"linear": True}).items()
    )
    caption = f"<figcaption><strong>{escape(title)}</strong>{beside}</figcaption>"
    numbers = json.dumps(spec, separators=(",", ":")).replace("<", "\\u003c")
    return f'<figure class="chart">{caption}{panels}<script type="application/json">{numbers}</script></figure>\n'


def plain(values: Iterable[float]) -> list[float | None]:
    """Numbers for JSON, six significant digits each; None where there is no finite number."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in np.asarray(values, float)]


def drawable(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    """The values, with NaN for those that have no place on the axis."""
    return np.where(np.isfinite(values) & ((values > 0) | (not logarithmic)), values, np.nan)


def key(name: str, color: str, *, value: bool = False, dashed: bool = False) -> str:
    """A name with its color, and room for a value."""
    room = " <b></b>" if value else ""
    return f'<span class="key{" dashed" if dashed else ""}" style="--key:{color}">{escape(name)}{room}</span>'


def legend(keys: Mapping[str, str]) -> str:
    """Names with their colors."""
    return f'<span class="keys">{"".join(key(name, color) for name, color in keys.items())}</span>'


def grid(charts: Iterable[str]) -> str:
    """Charts side by side where there is room; empty ones are left out."""
    shown = "".join(charts)
    return f'<div class="charts">{shown}</div>' if shown else ""


def spans_decades(values: np.ndarray) -> bool:
    """Whether positive values call for a logarithmic axis."""
    return bool(values.max() >= WIDE * values.min())


def cell_edges(steps: np.ndarray) -> np.ndarray:
    """The edges (S + 1,) of cells around steps (S,): in the middle between neighbors."""
    steps = np.asarray(steps, float)
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    middle = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([[2 * steps[0] - middle[0]], middle, [2 * steps[-1] - middle[-1]]])


def shades(count: int) -> list[str]:
    """So many colors in order, from early to late."""
    known = np.array([[int(color[k : k + 2], 16) for k in (1, 3, 5)] for color in EARLY_TO_LATE])
    places = np.linspace(0, len(known) - 1, count) if count > 1 else np.array([2.0])
    mixed = [[np.interp(place, range(len(known)), channel) for channel in known.T] for place in places]
    return [f"#{round(red):02x}{round(green):02x}{round(blue):02x}" for red, green, blue in mixed]


def library() -> str:
    """Bokeh's script for a page with charts.

    Raises:
        FileNotFoundError: Bokeh is not installed.
    """
    spec = find_spec("bokeh")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("Bokeh is not installed: pip install -c constraints.txt -e .")
    folder = Path(spec.origin).parent / "server" / "static" / "js"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
