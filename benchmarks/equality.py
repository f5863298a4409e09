"""Whether two runs are equal bit for bit: weights, optimizer, schedule, metrics.csv and TensorBoard."""

import csv
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def difference(first: Path, second: Path) -> str:
    """The first thing in which two finished runs differ; empty if they are equal."""
    one, two = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (first, second))
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch"):
        if not equal(one[key], two[key]):
            return f"{key} of the checkpoint"
    for what, read in (("metrics.csv", table), ("TensorBoard", curves)):
        left, right = read(first), read(second)
        if left != right:
            odd = [key for key in {**left, **right} if left.get(key) != right.get(key)]
            return f"{what}: {len(odd)} entries, such as {odd[0]}: {left.get(odd[0])}, {right.get(odd[0])}"
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


def table(run: Path) -> dict[tuple[int, str, str], str]:
    """Every figure in metrics.csv, by row, step and name."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (number, row["step"], name): value
        for number, row in enumerate(rows)
        for name, value in row.items()
        if value
    }


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Every scalar that TensorBoard shows."""
    events = EventAccumulator(str(run), purge_orphaned_data=True, size_guidance={"scalars": 0}).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
