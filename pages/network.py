"""A small fully connected network, drawn with its weights as edges, for a few steps of its training."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from callbacks.pictures.style import BLUE, VERMILION
from pages.frame import short
from pages.run_files import RunFiles, mapping

if TYPE_CHECKING:
    from pages.weights import Weight

FRAMES = 12  # steps among which the slider chooses
MAX_NUMBERS = 12  # edges with a number next to them
COLUMN, ROW, MARGIN, RADIUS = 190, 74, 90, 15  # pixels
THICK = 6.0  # pixels, of the largest weight


def network(run: RunFiles, found: pd.DataFrame, names: Mapping[str, Weight]) -> str:
    """The drawing with a slider over the steps; nothing unless each layer's outputs are the next one's inputs.

    Args:
        run: its files.
        found: a row for each step, a column for each weight.
        names: what each column is.
    """
    matrices, sizes = layers_of(names)
    if not sizes:
        return ""
    places = np.unique(np.linspace(0, len(found) - 1, min(FRAMES, len(found))).round().astype(int))
    largest = max(
        float(found[[name for name, weight in names.items() if weight.tensor in matrices]].abs().max().max()),
        1e-12,
    )
    frames = []
    for number, place in enumerate(places):
        row = found.iloc[place]
        values = {(weight.tensor, weight.index): float(row[name]) for name, weight in names.items()}
        step = int(row["step"])
        hidden = "" if number == len(places) - 1 else " hidden"
        drawing = draw(values, matrices, sizes, largest, input_names(run, sizes[0]))
        frames.append(
            f'<div data-frame="{number}"{hidden}><p class="note">after {step:,} steps</p>{drawing}</div>'
        )
    slider = (
        f'<div class="controls"><label>step <input type="range" data-frames min="0" max="{len(places) - 1}" '
        f'value="{len(places) - 1}"></label></div>'
        if len(places) > 1
        else ""
    )
    return f"<figure>{slider}{''.join(frames)}</figure>"


def layers_of(names: Mapping[str, Weight]) -> tuple[list[str], list[int]]:
    """The weight matrices in order, and the units of each layer, the inputs first; no units unless they form a chain."""
    shapes = tensor_shapes(names)
    matrices = [tensor for tensor, shape in shapes.items() if len(shape) == 2]
    if any(len(shape) > 2 for shape in shapes.values()):
        return matrices, []
    return matrices, chain([shapes[tensor] for tensor in matrices])


def tensor_shapes(names: Mapping[str, Weight]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, from the largest index of its weights."""
    largest: dict[str, np.ndarray] = {}
    for weight in names.values():
        index = np.array(weight.index, int)
        known = largest.get(weight.tensor, index)
        largest[weight.tensor] = np.maximum(known, index) if known.shape == index.shape else index
    return {tensor: tuple(int(size) + 1 for size in index) for tensor, index in largest.items()}


def chain(shapes: Sequence[tuple[int, ...]]) -> list[int]:
    """Units of each layer, the inputs first; empty unless matrices (out, in) follow one another."""
    if not shapes or any(before[0] != after[1] for before, after in itertools.pairwise(shapes)):
        return []
    return [shapes[0][1], *(shape[0] for shape in shapes)]


def input_names(run: RunFiles, number: int) -> list[str]:
    """The features' names in the config, if there are as many; else x1, x2."""
    features = mapping(mapping(run.config.get("data")).get("init_args")).get("features")
    if isinstance(features, list) and len(features) == number:
        return [str(name) for name in features]
    return ["x"] if number == 1 else [f"x{place + 1}" for place in range(number)]


def draw(
    values: Mapping[tuple[str, tuple[int, ...]], float],
    matrices: Sequence[str],
    sizes: Sequence[int],
    largest: float,
    inputs: Sequence[str],
) -> str:
    """One drawing as SVG.

    Args:
        values: of each weight, by tensor and index.
        matrices: names of the weight matrices, in order.
        sizes: units of each layer, the inputs first.
        largest: the weight that is drawn thickest.
        inputs: names of the inputs.
    """
    width, height = 2 * MARGIN + COLUMN * (len(sizes) - 1), ROW * max(sizes) + 20
    spots = [
        [(MARGIN + COLUMN * layer, height / 2 + ROW * (unit - (size - 1) / 2)) for unit in range(size)]
        for layer, size in enumerate(sizes)
    ]
    with_numbers = sum(a * b for a, b in itertools.pairwise(sizes)) <= MAX_NUMBERS
    edges, labels, units = [], [], []
    for layer, tensor in enumerate(matrices):
        for target in range(sizes[layer + 1]):
            for source in range(sizes[layer]):
                value = values.get((tensor, (target, source)), np.nan)
                start, end = spots[layer][source], spots[layer + 1][target]
                edges.append(edge(start, end, value, largest))
                if with_numbers:
                    # at a third of the way the lines into one unit have not met yet
                    share = 0.3 if (source + target) % 2 else 0.42
                    x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
                    labels.append(word(x, y + 4, short(value) if np.isfinite(value) else "NaN", "number"))
    for layer, column in enumerate(spots):
        bias = f"{matrices[layer - 1].removesuffix('weight')}bias" if layer else ""
        for unit, (x, y) in enumerate(column):
            units.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{RADIUS}"/>')
            if layer == 0:
                units.append(word(x - RADIUS - 8, y + 4, inputs[unit], "", anchor="end"))
            elif (own := values.get((bias, (unit,)))) is not None:
                units.append(word(x, y + RADIUS + 14, short(own), "quiet"))
    ends = "".join(edges + units + labels)
    return (
        f'<svg class="network" viewBox="0 0 {width} {height}" role="img" aria-label="the network and its weights" '
        f'style="max-width:{width}px">{ends}</svg>'
    )


def edge(start: tuple[float, float], end: tuple[float, float], value: float, largest: float) -> str:
    """A line whose color is the weight's sign, and whose width is its size."""
    size = abs(value) / largest if np.isfinite(value) else 0.0
    color = BLUE if value >= 0 else VERMILION
    return (
        f'<line x1="{start[0]:.0f}" y1="{start[1]:.0f}" x2="{end[0]:.0f}" y2="{end[1]:.0f}" stroke="{color}" '
        f'stroke-width="{0.6 + THICK * size:.2f}" stroke-opacity="{0.35 + 0.6 * size:.2f}"/>'
    )


def word(x: float, y: float, text: str, kind: str, anchor: str = "middle") -> str:
    """A word in the drawing."""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'
