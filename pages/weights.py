"""The section of single weights: for a tiny network every weight as a number, over the steps, and as an edge."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pages.charts import SERIES, Curve, grid, over_steps
from pages.frame import Section, code, part, short, table
from pages.network import network
from pages.run_files import RunFiles

NAME = re.compile(r"(?P<tensor>[^\[\]]+)(?:\[(?P<index>[\d,\s]*)\])?")


@dataclass(frozen=True)
class Weight:
    """One weight: the tensor it belongs to, as `layers.0.weight`, and its place in it."""

    tensor: str
    index: tuple[int, ...]

    @classmethod
    def of(cls, column: str) -> Weight | None:
        """The weight of a column such as `layers.0.weight[0,1]`; None for another column."""
        match = NAME.fullmatch(column)
        if match is None or column == "step":
            return None
        places = (part.strip() for part in (match["index"] or "").split(","))
        return cls(match["tensor"], tuple(int(place) for place in places if place))


def section(run: RunFiles) -> Section:
    """Nothing for a network with more than a few dozen weights."""
    found = run.weights
    names = {str(column): weight for column in found if (weight := Weight.of(str(column)))}
    if found.empty or not names:
        return Section("weights", "Every weight", "", "")
    body = network(run, found, names)
    body += part("As numbers", numbers(run, found, names))
    body += part(
        "Over the steps",
        grid(curves_of(run, found, names)),
        "A weight that is still moving at the right has not found its place yet.",
    )
    how = (
        "This network is small enough to read. Each edge is a weight: blue adds to the unit it leads to, red takes away, "
        "and the thicker it is, the more it counts. Below a unit stands its bias."
    )
    return Section("weights", "Every weight", how, body)


def numbers(run: RunFiles, found: pd.DataFrame, names: dict[str, Weight]) -> str:
    """First and last value of each weight; next to them, if inputs or targets are normalized, in the table's units."""
    in_table = run.weights_in_table_units
    header = [
        "layer",
        "weight",
        f"step {int(found['step'].iloc[0]):,}",
        f"step {int(found['step'].iloc[-1]):,}",
    ]
    has_table = any(name in in_table for name in names)
    if has_table:
        header.append("in the units of the table")
    rows = []
    for name, weight in names.items():
        row = [run.label_of_tensor(weight.tensor), code(name), *(short(found[name].iloc[k]) for k in (0, -1))]
        if has_table:
            row.append(short(in_table[name].iloc[-1]) if name in in_table else "")
        rows.append(row)
    return table(rows, header, numbers=(2, 3, 4))


def curves_of(run: RunFiles, found: pd.DataFrame, names: dict[str, Weight]) -> list[str]:
    """A chart for each tensor, with a line for each of its weights."""
    steps = found["step"].to_numpy(float)
    drawn = []
    for tensor in dict.fromkeys(weight.tensor for weight in names.values()):
        own = {name: weight for name, weight in names.items() if weight.tensor == tensor}
        curves = []
        for place, (name, weight) in enumerate(own.items()):
            values = found[name].to_numpy(float)
            kept = np.isfinite(values)
            label = ",".join(map(str, weight.index)) or "value"
            color = SERIES[place % len(SERIES)]
            curves.append(Curve(label, steps[kept], values[kept], color, dashed=place >= len(SERIES)))
        title = f"{run.label_of_tensor(tensor)}: {tensor}"
        drawn.append(over_steps(title, curves, logarithmic=False, smooth=False))
    return drawn
