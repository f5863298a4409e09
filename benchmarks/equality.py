"""Whether two runs are equal bit for bit: weights, optimizer, schedule, metrics.csv and TensorBoard."""

import csv
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def difference(first: Path, second: Path, *, by_row: bool = True) -> str:
    """The first thing in which two finished runs differ; empty if they are equal.

    Args:
        first, second: their folders.
        by_row: whether metrics.csv must have the same rows. A checkpoint writes what was logged so far, so a run that
            saves at other moments may have the same figures in more rows.
    """
    return difference_in_state(first, second) or difference_in_figures(first, second, by_row=by_row)


def difference_in_state(first: Path, second: Path) -> str:
    """What differs in the last checkpoints of two runs: weights, optimizers, schedules, or the number of steps."""
    one, two = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (first, second))
    keys = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")
    return next((f"{key} of the checkpoint" for key in keys if not equal(one[key], two[key])), "")


def difference_in_figures(first: Path, second: Path, *, by_row: bool = True) -> str:
    """What differs in the tables and curves of two runs."""
    for what, read in (("metrics.csv", table if by_row else figures), ("TensorBoard", curves)):
        left, right = read(first), read(second)
        if not by_row:
            left.pop("epoch", None), right.pop("epoch", None)  # logged once for each row
        if left != right:
            odd = [key for key in {**left, **right} if left.get(key) != right.get(key)]
            shown = f"{left.get(odd[0])!s:.300} against {right.get(odd[0])!s:.300}"
            return f"{what}: {len(odd)} entries, such as {odd[0]}: {shown}"
    return ""


def equal(one: Any, two: Any) -> bool:
    """Whether two values are equal bit for bit, including nested containers."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(equal, one, two))
    return bool(one == two)


def table(run: Path) -> dict[Any, Any]:
    """Every figure in metrics.csv, by row, step and name."""
    return {
        (number, row["step"], name): value
        for number, row in enumerate(rows_of(run))
        for name, value in row.items()
        if value
    }


def figures(run: Path) -> dict[Any, Any]:
    """The figures in metrics.csv by step and name, in whatever rows they are; the columns `step` and `epoch` are none."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows_of(run):
        for name, value in row.items():
            if value and name not in ("step", "epoch"):
                found.setdefault((row["step"], name), []).append(value)
    return found


def rows_of(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv."""
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def curves(run: Path) -> dict[Any, Any]:
    """Every scalar that TensorBoard shows."""
    events = EventAccumulator(str(run), purge_orphaned_data=True, size_guidance={"scalars": 0}).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
