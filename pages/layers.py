"""The section of layers: what they are, and gradients, deltas, activations and step sizes over depth and over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from pages.charts import Curve, grid, heat_map, over_steps, profiles, shades
from pages.frame import Html, Section, code, note, part, table
from pages.run_files import RunFiles
from pages.thinning import buckets

PROFILES = 5  # steps whose values over depth are drawn
CELLS = 160  # steps of a heat map


@dataclass(frozen=True)
class Quantity:
    """Something measured in every layer.

    Args:
        name: first part of its tags.
        title: in words.
        how: what it is, and what to look for.
        logarithmic: whether its axis is.
    """

    name: str
    title: str
    how: str
    logarithmic: bool = True


QUANTITIES = (
    Quantity(
        "grad_norm",
        "Gradient of the weights",
        "How strongly the loss pulls at each layer. Level lines are healthy; lines that fall towards the first layer "
        "show a vanishing gradient, lines that rise an exploding one.",
    ),
    Quantity(
        "delta_norm",
        "Delta: gradient at the layer's output",
        "What arrives at each layer on the way back from the loss: the quantity that vanishes in deep sigmoid networks.",
    ),
    Quantity(
        "update_ratio",
        "Size of a step over size of the weights",
        "About 0.001 is usual; near 0 a layer does not learn, above 0.1 it forgets at each step what it knew.",
    ),
    Quantity(
        "activation_std",
        "Spread of the activations",
        "How much the outputs of a layer differ. It should neither die out nor grow from layer to layer.",
    ),
    Quantity(
        "activation_zero_fraction",
        "Share of activations that are zero",
        "For relu about a half is usual; near 1 the layer is as good as dead.",
        logarithmic=False,
    ),
    Quantity(
        "activation_saturated",
        "Share of activations that are saturated",
        "Sigmoid and tanh pass hardly any gradient where they are at their ends; near 1 the layer is stuck.",
        logarithmic=False,
    ),
)


def section(run: RunFiles) -> Section:
    """The table of layers, then a part for each quantity that was measured."""
    body = layer_table(run)
    if not body:
        body = note(run.why_missing("inside/layers.json"))
    parts = "".join(measured(run, quantity) for quantity in QUANTITIES)
    if not parts:
        why = "No gradients or activations were measured"
        off = run.config.get("diagnostics", True) is False
        parts = note(f"{why}, because of --diagnostics false." if off else f"{why}.")
    how = (
        "Layers stand in order of depth, the one that reads the inputs first. On the left each line is one step, from "
        "early (dark) to late (bright); on the right each row is a layer, time runs to the right, and colors are values."
    )
    return Section("layers", "Layers", how, body + parts)


def layer_table(run: RunFiles) -> str:
    """What each layer is, and how many parameters it has."""
    frozen = any(each.get("trainable") != each.get("parameters") for each in run.layers)
    header = ["", "layer", "name", "type", "shape of a sample", "parameters", *["of these trained"] * frozen]
    rows = [row_of(place, each)[: len(header)] for place, each in enumerate(run.layers, start=1)]
    body = table(rows, header, numbers=(5, 6))
    counts = [each.get("parameters") for each in run.layers]
    total = sum(number for number in counts if isinstance(number, int))
    return body + (f"<p>{total:,} parameters in all.</p>" if rows else "")


def row_of(place: int, layer: Mapping[str, Any]) -> list[Any]:
    """The cells of one layer."""
    return [
        place,
        layer.get("label", ""),
        code(layer.get("name", "")),
        layer.get("type", ""),
        Html(f"{shape(layer.get('input'))} &rarr; {shape(layer.get('output'))}"),
        count(layer.get("parameters")),
        count(layer.get("trainable")),
    ]


def shape(found: Any) -> Html:
    """A shape without its batch, such as 16, 28, 28 with the sign of a product between them."""
    if isinstance(found, list):
        return Html(" &times; ".join(escape(str(size)) for size in found))
    return Html("" if found is None else escape(str(found)))


def count(found: Any) -> str:
    """A number of parameters."""
    return f"{found:,}" if isinstance(found, int) else ""


def measured(run: RunFiles, quantity: Quantity) -> str:
    """A quantity over depth for a few steps, and over all steps; one line over the steps if there is one layer."""
    found = run.by_layer(quantity.name)
    if found.empty:
        return ""
    values = found.to_numpy(float)
    if not np.isfinite(values).any() or not values.any():
        return ""
    labels = {str(layer): run.label(str(layer)) for layer in found}
    if len(labels) == 1:
        steps, only = run.curve(f"{quantity.name}/{next(iter(labels))}")
        curve = Curve(next(iter(labels.values())), steps, only, shades(3)[1])
        log = None if quantity.logarithmic else False
        chart = over_steps("over time", [curve], logarithmic=log, smooth=False)
        return part(quantity.title, grid([chart]), quantity.how)
    thinned = in_cells(found)
    rows = {labels[str(layer)]: thinned[layer].to_numpy(float) for layer in thinned}
    limits = None if quantity.logarithmic else (0.0, 1.0)
    steps = thinned.index.to_numpy(float)
    drawn = grid(
        [
            over_depth(found, list(labels.values()), logarithmic=quantity.logarithmic),
            heat_map("over time", steps, rows, logarithmic=quantity.logarithmic, limits=limits),
        ]
    )
    return part(quantity.title, drawn, quantity.how)


def in_cells(found: pd.DataFrame) -> pd.DataFrame:
    """The median of neighboring steps, so that no more than `CELLS` are left."""
    if len(found) <= CELLS:
        return found
    place = buckets(len(found), CELLS)
    medians = found.groupby(place).median()
    return medians.set_index(pd.Series(found.index).groupby(place).median().rename("step"))


def over_depth(found: pd.DataFrame, labels: list[str], *, logarithmic: bool) -> str:
    """A line over depth for each of a few steps.

    Args:
        found: one row per step, one column per layer.
        labels: names of the layers.
        logarithmic: whether the vertical axis is.
    """
    chosen = found.iloc[chosen_rows(len(found))]
    steps = chosen.index.to_numpy(int)
    lines = {f"step {step:,}": row for step, row in zip(steps, chosen.to_numpy(float), strict=True)}
    return profiles("over depth", labels, lines, logarithmic=logarithmic, height=height_of(len(labels)))


def height_of(num_layers: int) -> int:
    """As high as the heat map next to it, within limits."""
    return int(np.clip(70 + 26 * num_layers, 230, 420))


def chosen_rows(num_rows: int) -> list[int]:
    """The first and the last measured step and a few between them, closer together at the start."""
    places = np.geomspace(1, num_rows, min(PROFILES, num_rows)).round().astype(int) - 1
    return sorted(set(places.tolist()) | {0, num_rows - 1})
