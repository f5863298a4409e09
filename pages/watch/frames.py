"""One frame: everything a page draws, as plain values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor, nn

from callbacks.diagnostics.verdict import Verdict, worst_first
from callbacks.pictures.forward import calls
from callbacks.pictures.network import array
from pages.watch.columns import MAX_UNITS, Column, columns_of, shown, strengths
from pages.watch.packing import largest, pack, plain
from pages.watch.scene import Scene

QUANTITIES = ("grad_norm", "delta_norm", "update_ratio")
CURVE_POINTS = 60


def network(pl_module: pl.LightningModule, x: Tensor, scene: Scene) -> dict[str, Any]:
    """The columns of units and the weights between them.

    Args:
        pl_module: in eval mode.
        x: inputs (N, ...) of the probe that every unit's small picture shows.
        scene: draws the small picture of a unit, and the inputs.
    """
    columns = columns_of(calls(pl_module, x))
    drawn: list[dict[str, Any]] = [
        {"label": "input", "tag": "", "units": scene.inputs(), "total": scene.num_inputs}
    ]
    edges: list[Any] = []
    if columns and (state := scene.state(columns[0]))[1]:
        drawn.append({"label": "state", "tag": "", "units": state[0], "total": state[1]})
        edges.append(None)
    places = shown(columns)
    before = -1  # the column drawn last
    for place in places:
        column = columns[place]
        source = columns[place - 1].units if place else drawn[-1]["total"]
        units, total = scene.units(column, is_output=place == len(columns) - 1)
        drawn.append({"label": column.label, "tag": column.tag, "units": units, "total": total})
        is_next = place == before + 1 and column.reads_previous
        edges.append(weights_between(column.module, source, drawn[-2], drawn[-1]) if is_next else None)
        before = place
    return {"columns": drawn, "edges": edges, "left_out": len(columns) - len(places)}


def weights_between(module: nn.Module, source: int, left: dict[str, Any], right: dict[str, Any]) -> Any:
    """The weights (units right, units left) of what is drawn, and the largest of the whole layer."""
    found = strengths(module, source)
    if found is None:
        return None
    if len(right["units"]) == 1 < len(found):  # a whole image is drawn as one unit
        found = np.sqrt(np.square(found).mean(0, keepdims=True)) * np.sign(found.sum(0, keepdims=True))
    seen = found[: len(right["units"]), : len(left["units"])]
    return {"values": plain(seen), "largest": plain(largest(found))}


def maps_of(values: np.ndarray, names: list[str] | None = None) -> list[dict[str, Any]]:
    """Small pictures (units, H, W), on one scale: 0 is in the middle."""
    scale = largest(values, 0.995)
    return [unit(k, names, map=pack(each, scale)) for k, each in enumerate(values[:MAX_UNITS])]


def curves_of(values: np.ndarray, names: list[str] | None = None) -> list[dict[str, Any]]:
    """Small curves (units, points), on one scale."""
    scale = largest(values) or 1.0
    every = max(1, values.shape[1] // CURVE_POINTS)
    kept = values[:MAX_UNITS, ::every] / scale
    return [unit(k, names, curve=plain(each), scale=plain(scale)) for k, each in enumerate(kept)]


def bars_of(values: np.ndarray, names: list[str] | None = None) -> list[dict[str, Any]]:
    """Small bars (units, groups), on one scale."""
    scale = largest(values) or 1.0
    kept = values[:MAX_UNITS] / scale
    return [unit(k, names, bars=plain(each), scale=plain(scale)) for k, each in enumerate(kept)]


def unit(index: int, names: list[str] | None, **picture: Any) -> dict[str, Any]:
    """One unit of a column."""
    return {"name": names[index] if names and index < len(names) else f"unit {index + 1}", **picture}


def layer_rows(latest: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """A row per layer: gradient, delta and relative step, as the callbacks measured them; null where they did not."""
    tags = sorted({tag for name in QUANTITIES for tag in latest.get(name, {})})
    return [
        {"tag": tag} | {name: plain(latest.get(name, {}).get(tag)) for name in QUANTITIES} for tag in tags
    ]


def findings(verdicts: list[Verdict]) -> list[dict[str, str]]:
    """What the check-up and the diagnosis say now."""
    return [
        {"severity": each.severity, "kind": each.kind, "message": each.message, "advice": each.advice}
        for each in worst_first(list(verdicts))
    ]


def class_means(column: Column, groups: np.ndarray, count: int) -> np.ndarray:
    """The mean output (units, groups) of each unit over the samples of each group; NaN where there are none."""
    output = array(column.output.flatten(2).mean(-1) if column.output.ndim > 2 else column.output)
    with np.errstate(invalid="ignore"):
        means = [
            output[groups == group].mean(0) if (groups == group).any() else np.full(output.shape[1], np.nan)
            for group in range(count)
        ]
    return np.stack(means, axis=1)
