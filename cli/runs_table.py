"""The table of runs in the terminal, as JSON and as CSV."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cli.runs_query import COLUMNS, value_of
from runtime.run_list import ListedRun

COLORS = {"running": "green", "failed": "red", "killed": "yellow"}


def print_runs(runs: Sequence[ListedRun], extra: Sequence[str]) -> None:
    """Print one line for each run; in a narrow terminal, the settings that were changed stand below it.

    Args:
        runs: in order.
        extra: names of further columns, which were sorted by or compared.
    """
    shown = [name for name in dict.fromkeys(extra) if name not in COLUMNS and not is_best(name, runs)]
    header = ["run", "started", "state", "best", *shown, "changed", "verdict", "note"]
    rows = [cells_of(run, shown) for run in runs]
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    console = Console(highlight=False)
    fits = not console.is_terminal or sum(widths([header, *rows])) + 2 * len(header) - 2 <= console.width
    whole = len(header) if fits else header.index("changed")  # the rest stands below, indented
    sizes = widths([each[:whole] for each in (header, *rows)])
    for place, row in enumerate([header, *rows]):
        line = "  ".join(f"{cell:{size}}" for cell, size in zip(row[:whole], sizes, strict=True)).rstrip()
        text = Text(line, "bold" if place == 0 else "")
        if place > 0:
            text.stylize(COLORS.get(row[2], ""), start := sizes[0] + sizes[1] + 4, start + len(row[2]))
        console.print(text, soft_wrap=True)
        below = "  ".join(cell for cell in row[whole:] if cell not in ("", "-"))
        if below and place > 0:
            console.print(Padding(Text(below, "dim"), (0, 0, 0, 4)))


def widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Of the columns, in characters."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def cells_of(run: ListedRun, shown: Sequence[str]) -> list[str]:
    """What one line says."""
    values = [short(value_of(run, name)) for name in shown]
    return [
        run.name,
        when(run.started),
        run.state,
        best(run),
        *values,
        changed(run),
        verdict(run),
        noted(run),
    ]


def is_best(name: str, runs: Sequence[ListedRun]) -> bool:
    """Whether the column of best metrics shows this one for every run."""
    return all(run.monitor == name for run in runs)


def when(started: datetime | None) -> str:
    """In the local time."""
    return "?" if started is None else started.astimezone().strftime("%Y-%m-%d %H:%M")


def best(run: ListedRun) -> str:
    """The monitored metric and its best value."""
    return f"{run.monitor} {short(run.best)}" if math.isfinite(run.best) else "-"


def verdict(run: ListedRun) -> str:
    """What the diagnosis found; and the files that could not be read."""
    found = [run.verdict]
    if run.damaged:
        found.append(f"damaged: {', '.join(run.damaged)}")
    return "; ".join(filter(None, found)) or "-"


def changed(run: ListedRun) -> str:
    """The settings that differ from the experiment's config, as flags without dashes."""
    if run.changes is None:
        return "?"
    return " ".join(f"{name}={short(value)}" for name, value in run.changes.items())


def noted(run: ListedRun) -> str:
    """Tags with a # in front, then the note."""
    return " ".join([*(f"#{tag}" for tag in run.notes.tags), " ".join(run.notes.note.split())]).strip()


def short(value: Any) -> str:
    """A value as it is typed, a number with four digits."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "-"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(short, value))}]"
    if isinstance(value, dict):
        return str(value["class_path"]).rpartition(".")[2] if "class_path" in value else json.dumps(value)
    return str(value)


def as_rows(runs: Sequence[ListedRun]) -> list[dict[str, Any]]:
    """Everything about the runs, as plain values."""
    return [
        {
            "folder": str(run.folder),
            "experiment": run.experiment,
            "version": run.version,
            "started": run.started.isoformat() if run.started else None,
            "seconds": finite(run.seconds),
            "state": run.state,
            "monitor": run.monitor,
            "best": finite(run.best),
            "metrics": run.metrics,
            "changes": run.changes,
            "verdict": run.verdict,
            "note": run.notes.note,
            "tags": list(run.notes.tags),
            "damaged": run.damaged,
        }
        for run in runs
    ]


def finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def as_csv(runs: Sequence[ListedRun]) -> str:
    """The same as CSV, with a column for each metric."""
    metrics = sorted({name for run in runs for name in run.metrics})
    rows = as_rows(runs)
    for row, run in zip(rows, runs, strict=True):
        row |= {
            "changes": changed(run),
            "tags": " ".join(run.notes.tags),
            "damaged": " ".join(row["damaged"]),
        }
        row |= {name: row["metrics"].get(name) for name in metrics}
    columns = [name for name in (rows[0] if rows else {"folder": ""}) if name != "metrics"]
    text = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows([plain(row) for row in rows])
    return text.getvalue()


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "" if value is None else value for name, value in row.items()}
