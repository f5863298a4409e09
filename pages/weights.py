"""The section of single weights: for a tiny network every weight as a number, over the steps, and as an edge."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pages.charts import SERIES, Curve, grid, over_steps
from pages.frame import Section, code, part, short, table
from pages.network import input_names, layers_of, network
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
        "This network is small enough to read. Each edge is a weight: blue adds to the unit it leads to, orange takes "
        "away, and the thicker it is, the more it counts. Below a unit stands its bias."
    )
    return Section("weights", "Every weight", how, body)


def numbers(run: RunFiles, found: pd.DataFrame, names: dict[str, Weight]) -> str:
    """First and last value of each weight; next to them, if inputs or targets are normalized, in the table's units."""
    in_table = run.weights_in_table_units
    header = [
        "layer",
        "weight",
        "name",
        f"step {int(found['step'].iloc[0]):,}",
        f"step {int(found['step'].iloc[-1]):,}",
    ]
    has_table = any(name in in_table for name in names)
    if has_table:
        header.append("in the units of the table")
    rows, meaning = [], meanings(run, names)
    for name, weight in names.items():
        values = [short(found[name].iloc[k]) for k in (0, -1)]
        row = [run.label_of_tensor(weight.tensor), meaning[name], code(name), *values]
        if has_table:
            row.append(short(in_table[name].iloc[-1]) if name in in_table else "")
        rows.append(row)
    return table(rows, header, numbers=(3, 4, 5))


def curves_of(run: RunFiles, found: pd.DataFrame, names: dict[str, Weight]) -> list[str]:
    """A chart for each tensor, with a line for each of its weights."""
    steps, meaning = found["step"].to_numpy(float), meanings(run, names)
    drawn = []
    for tensor in dict.fromkeys(weight.tensor for weight in names.values()):
        own = {name: weight for name, weight in names.items() if weight.tensor == tensor}
        curves = []
        for place, name in enumerate(own):
            values = found[name].to_numpy(float)
            kept = np.isfinite(values)
            color = SERIES[place % len(SERIES)]
            curves.append(Curve(meaning[name], steps[kept], values[kept], color, dashed=place >= len(SERIES)))
        title = f"{run.label_of_tensor(tensor)}: {tensor}"
        drawn.append(over_steps(title, curves, logarithmic=False, smooth=False))
    return drawn


def meanings(run: RunFiles, names: dict[str, Weight]) -> dict[str, str]:
    """What each weight does, such as "Age to unit 2"; its place in its tensor where that is not known."""
    matrices, sizes = layers_of(names)
    inputs = input_names(run, sizes[0]) if sizes else []
    known = {}
    for name, weight in names.items():
        place = ",".join(map(str, weight.index)) or "value"
        if weight.tensor in matrices and sizes:
            target, source = weight.index
            start = inputs[source] if weight.tensor == matrices[0] else f"unit {source + 1}"
            place = f"{start} to {unit(weight.tensor == matrices[-1], sizes[-1], target)}"
        elif weight.tensor.endswith("bias") and len(weight.index) == 1:
            last = bool(sizes) and weight.tensor.removesuffix("bias") == matrices[-1].removesuffix("weight")
            place = f"bias of {unit(last, sizes[-1] if sizes else 0, weight.index[0])}"
        known[name] = place
    return known


def unit(is_output: bool, num_outputs: int, place: int) -> str:
    """What a unit is called."""
    if not is_output:
        return f"unit {place + 1}"
    return "the output" if num_outputs == 1 else f"output {place + 1}"
