"""`runs/index.html`: all runs in one table that can be sorted and filtered, with links to their pages.

It is a plain HTML table with a few lines of script, so it opens at once, prints, and is read by screen readers. Nothing
of it needs Bokeh or PyTorch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote

from pages.frame import Html, chip, own_file, short, text, written
from runtime.run_list import ListedRun

STATES = {"finished": "good", "running": "running", "failed": "fail", "killed": "warn"}  # and their chips
HOW = (
    "Press a heading to sort by it. The field takes words, and comparisons as runs --where does: state=failed, "
    "val/loss<0.5, model.depth=3."
)


def page(runs: Sequence[ListedRun]) -> str:
    """A complete HTML document.

    Args:
        runs: in the order in which the page shows them at first.
    """
    metrics = sorted({name for run in runs for name in run.metrics if name.startswith(("val", "test"))})
    header = ["run", "started", "minutes", "state", "verdict", *metrics, "changed", "note"]
    head = "".join(
        f'<th scope="col"{" class=number" if name in metrics or name == "minutes" else ""}>'
        f'<button type="button" data-column="{place}">{escape(name)}</button></th>'
        for place, name in enumerate(header)
    )
    rows = "".join(row(run, metrics) for run in runs)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Runs</title>
<link rel="icon" href="data:,">
<style>{own_file("page.css")}{own_file("runs_table.css")}</style>
</head>
<body>
<main class="runs">
<header><h1>Runs</h1><p class="how">{escape(HOW)}</p></header>
<p class="controls"><input type="search" id="filter" aria-label="filter" placeholder="state=failed val/loss&lt;0.5"
 autocomplete="off"><output id="count" aria-live="polite"></output></p>
<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>
</main>
<script>{own_file("runs_table.js")}</script>
</body>
</html>
"""


def row(run: ListedRun, metrics: Sequence[str]) -> str:
    """The line of one run. Each cell has what it is sorted by, and the row what the filter compares."""
    changes = run.changes or {}
    finished = run.seconds / 60
    damaged = [chip(f"damaged: {name}", "fail") for name in run.damaged]
    cells = [
        cell(link(run), run.name),
        cell(when(run.started), run.started.timestamp() if run.started else None),
        cell(f"{finished:.1f}" if math.isfinite(finished) else "", finished, "number"),
        cell(chip(run.state, STATES.get(run.state, "")), run.state),
        cell(Html(" ".join([*verdict(run.verdict), *damaged])), run.verdict),
        *(cell(metric(run, name), run.metrics.get(name), best(run, name)) for name in metrics),
        cell(Html(settings(changes)) if run.changes is not None else "?", len(changes)),
        cell(
            Html(" ".join([*(chip(f"#{tag}") for tag in run.notes.tags), escape(run.notes.note)])),
            run.notes.note,
        ),
    ]
    values = {
        "run": run.name,
        "experiment": run.experiment,
        "started": when(run.started),
        "state": run.state,
        "verdict": run.verdict,
        "note": run.notes.note,
        "tag": list(run.notes.tags),
        "seconds": run.seconds if math.isfinite(run.seconds) else None,
        **run.metrics,
        **changes,
    }
    return f'<tr data-values="{escape(json.dumps(values, default=str))}">{"".join(cells)}</tr>\n'


def cell(shown: Any, sorted_by: Any, kind: str = "") -> str:
    """One cell; NaN and None are sorted last."""
    lacks = sorted_by is None or (isinstance(sorted_by, float) and not math.isfinite(sorted_by))
    key = "" if lacks else escape(str(sorted_by))
    return f'<td data-key="{key}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>{text(shown)}</td>'


def link(run: ListedRun) -> str:
    """The run's name, which leads to its page if it has one; `runs/index.html` lies above it."""
    if not (run.folder / "report.html").is_file():
        return run.name
    return Html(f'<a href="{escape(quote(run.name))}/report.html">{escape(run.name)}</a>')


def when(started: datetime | None) -> str:
    return started.astimezone().strftime("%Y-%m-%d %H:%M") if started else ""


def verdict(words: str) -> list[str]:
    """What the diagnosis found, as chips."""
    kinds = {"FAIL": "fail", "WARN": "warn"}
    return [chip(part, kinds.get(part.rpartition(" ")[2], "good")) for part in words.split(", ") if part]


def metric(run: ListedRun, name: str) -> str:
    return short(run.metrics[name]) if name in run.metrics else ""


def best(run: ListedRun, name: str) -> str:
    """The classes of a metric's cell; the monitored one stands out."""
    return "number monitored" if name == run.monitor else "number"


def settings(changes: dict[str, Any]) -> str:
    """Settings as they are typed, one after the other."""
    return " ".join(
        f"<code>{escape(f'{name}={value if isinstance(value, str) else written(value)}')}</code>"
        for name, value in changes.items()
    )
