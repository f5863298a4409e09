"""The page of two or more runs side by side: settings that differ, figures, findings, curves over each other.

write_comparison([Path("runs/circles/version_0"), Path("runs/circles/version_1")])
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from callbacks.files import write_whole
from pages import asked
from pages.charts import SERIES, Curve, grid, over_steps
from pages.curves import SLIDER, metrics_in
from pages.findings import WORDS
from pages.frame import Html, Section, chip, code, command, note, page, part, table, written
from pages.result import TITLES, decimals, is_number, number_or_none
from pages.run_files import RunFiles, listed, mapping
from runtime.commands import train_py
from runtime.compared import name_of, read_compared
from runtime.metric_names import direction_of_name
from runtime.run_record import state_of

# Settings that say nothing about the difference between two runs.
SILENT = {
    *("run_name", "tag", "resume", "debug", "sweep", "ckpt_path", "weights_only"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary"),
}
MOST_IN_NAME = 3  # runs in the name of the file
NOTHING = "-"  # in a cell


def write_comparison(folders: Sequence[Path]) -> Path:
    """Write the page next to the folders of the experiments; returns its path.

    Args:
        folders: of the runs, at least two.

    Raises:
        OSError: the file cannot be written.
    """
    names = [name_of(folder).replace("/version_", "_") for folder in folders]
    more = f"_and_{len(names) - MOST_IN_NAME}_more" if len(names) > MOST_IN_NAME else ""
    path = folders[0].resolve().parent.parent / f"comparison_{'_'.join(names[:MOST_IN_NAME])}{more}.html"
    write_whole(path, comparison([RunFiles(folder) for folder in folders], path.parent))
    return Path(os.path.relpath(path))


def comparison(runs: Sequence[RunFiles], place: Path) -> str:
    """The page as HTML; `place` is the folder that it lies in, for links to the pages of the runs."""
    letters = letters_for(len(runs))
    keys = "".join(
        f"<tr><td>{letter}</td><td>{key_of(k)} {link(run, place)}</td>"
        f"<td>{state(run)}</td><td>{escape(length(run))}</td><td>{escape(written_note(run))}</td></tr>"
        for k, (letter, run) in enumerate(zip(letters, runs, strict=True))
    )
    title = title_of(runs)
    head = (
        f"<header><h1>{escape(title)}</h1>"
        f'<div class="wide"><table><tbody>{keys}</tbody></table></div></header>'
    )
    sections = [
        sentence_section(runs),
        settings_section(runs, letters),
        figures_section(runs, letters),
        curves_section(runs, letters),
        findings_section(runs, letters),
        commands_section(runs, letters),
    ]
    return page(title, head, sections)


def title_of(runs: Sequence[RunFiles]) -> str:
    """The names of the runs; of runs of one experiment, its name once."""
    folders = [run.folder.resolve() for run in runs]
    if len({folder.parent for folder in folders}) == 1:
        return f"{folders[0].parent.name}: {', '.join(folder.name for folder in folders)}"
    return ", ".join(map(name_of, folders))


def letters_for(count: int) -> list[str]:
    """A, B, ..., Z, then numbers."""
    return [chr(ord("A") + k) if k < 26 else str(k + 1) for k in range(count)]


def color_of(place: int) -> str:
    """The color of a run in every chart."""
    return SERIES[place % len(SERIES)]


def key_of(place: int) -> Html:
    """A square in the color of a run."""
    return Html(f'<i class="swatch" style="background:{color_of(place)}"></i>')


def link(run: RunFiles, place: Path) -> Html:
    """The name of a run, linked to its own page if it has one."""
    name, target = escape(name_of(run.folder)), run.folder / "report.html"
    if not target.exists():
        return Html(name)
    return Html(f'<a href="{escape(Path(os.path.relpath(target, place)).as_posix())}">{name}</a>')


def state(run: RunFiles) -> Html:
    """Whether it is finished, as a chip."""
    return chip(*asked.STATES[state_of(run.folder)])


def length(run: RunFiles) -> str:
    """Steps, and seconds of all launches."""
    seconds = [mapping(each.get("seconds")).get("total") for each in run.launches]
    known = [float(each) for each in seconds if isinstance(each, int | float)]
    return f"{run.steps_done(state_of(run.folder)):,} steps" + (f" in {sum(known):,.0f} s" if known else "")


def written_note(run: RunFiles) -> str:
    """The user's note and tags."""
    return ", ".join(
        filter(None, [str(run.notes.get("note") or ""), *map(str, listed(run.notes.get("tags")))])
    )


def sentence_section(runs: Sequence[RunFiles]) -> Section:
    """What the command compare said about these runs."""
    names = {name_of(run.folder) for run in runs}
    found = {}
    for run in runs:
        for each in read_compared(run.folder):
            if {each.get("A"), each.get("B")} <= names:
                found[each["A"], each["B"]] = each
    body = ""
    for (first, second), each in found.items():
        rows = [(name, value) for name, value in mapping(each.get("rows")).items()]
        body += part(
            f"A is {first} here, B is {second}",
            f"<p>{escape(str(each.get('sentence', '')))}</p>{table(rows)}",
        )
    if not body and len(runs) == 2:
        words = (
            "Whether the difference is real, on the same test rows, is not known yet. This command says it:"
        )
        body = note(words) + command(train_py("compare", *(run.folder for run in runs)))
    how = "Both networks predict the same test rows, so the comparison is paired; it leaves out chance between seeds."
    return Section("compared", "Is the difference real?", how, body)


def settings_section(runs: Sequence[RunFiles], letters: Sequence[str]) -> Section:
    """The settings of config.yaml that are not the same in all runs."""
    flat = [dict(flattened(run.config)) for run in runs]
    names = [name for name in dict.fromkeys(name for each in flat for name in each) if name not in SILENT]
    rows: list[list[Any]] = []
    for name in names:
        values = [written(each[name]) if name in each else NOTHING for each in flat]
        if len(set(values)) > 1:
            rows.append([code(f"--{asked.flag(name)}"), *map(code, values)])
    commits = [str(mapping(run.record.get("commit")).get("hash", ""))[:10] for run in runs]
    if len(set(commits)) > 1:
        rows.append(["commit", *map(code, commits)])
    missing = [name_of(run.folder) for run in runs if not run.config]
    body = table(rows, ("setting", *letters)) if rows else note("All settings are the same.")
    body += note(f"config.yaml is missing or damaged in {', '.join(missing)}.") if missing else ""
    return Section("settings", "Settings that differ", "All other settings are the same.", body)


def flattened(settings: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting by its full name; lists are values."""
    for key, value in mapping(settings).items():
        name = f"{place}.{key}" if place else str(key)
        if isinstance(value, dict) and value:
            yield from flattened(value, name)
        else:
            yield name, value


def figures_section(runs: Sequence[RunFiles], letters: Sequence[str]) -> Section:
    """The figures of result.json, one column for each run; the best of a row is bold."""
    body = ""
    for split, title in TITLES.items():
        parts = [mapping(run.result.get(split)) for run in runs]
        metrics = [mapping(each.get("metrics")) for each in parts]
        rows = [
            [name, *cells(name, [mapping(each.get(name)) for each in metrics])]
            for name in dict.fromkeys(name for each in metrics for name in each)
        ]
        counts = [f"{each['rows']:,}" if is_number(each.get("rows")) else NOTHING for each in parts]
        if rows:
            rows.append(["rows", *counts])
            body += part(title, table(rows, ("metric", *letters), numbers=range(1, len(runs) + 1)))
    how = (
        "Of best.ckpt, with 95 % intervals. Intervals that overlap do not say that there is no difference: on the same "
        "rows a paired comparison sees more."
    )
    return Section("figures", "Figures", how, body or note("No run has a result.json with figures."))


def cells(name: str, found: Sequence[dict[str, Any]]) -> list[Any]:
    """A metric of each run with its interval; the best is bold."""
    values = [number_or_none(each.get("value")) for each in found]
    known = [value for value in values if value is not None]
    side = {"min": min, "max": max}.get(direction_of_name(name) or "")
    best = side(known) if side and len(set(known)) > 1 else None
    shown: list[Any] = []
    for value, each in zip(values, found, strict=True):
        if value is None:
            shown.append(NOTHING)
            continue
        low, high = (number_or_none(each.get(key)) for key in ("low", "high"))
        digits = decimals(value, low, high)
        words = f"{value:.{digits}f}"
        words = f"<strong>{words}</strong>" if value == best else words
        if low is not None and high is not None:
            words += f'<br><span class="note">{low:.{digits}f} to {high:.{digits}f}</span>'
        shown.append(Html(words))
    return shown


def curves_section(runs: Sequence[RunFiles], letters: Sequence[str]) -> Section:
    """A chart for each metric, one color for each run; the training is dashed where there is a validation, too."""
    by_run = [metrics_in(run) for run in runs]
    charts = []
    for metric in sorted(dict.fromkeys(name for each in by_run for name in each), key=order_of):
        curves = []
        for k, (run, metrics, letter) in enumerate(zip(runs, by_run, letters, strict=True)):
            columns = metrics.get(metric, {})
            for split, column in sorted(columns.items(), reverse=True):
                if split == "test":  # a single measurement, at no step of the training
                    continue
                dashed = split == "training" and "validation" in columns
                name = f"{letter} {split}".strip()
                curves.append(Curve(name, *run.curve(column), color_of(k), dashed))
        charts.append(over_steps(metric, curves))
    body = grid(charts)
    how = "Solid lines are validations, dashed ones trainings. Steps are comparable only if the batches are of one size."
    return Section("curves", "Curves", how, SLIDER + body if body else note("No run has logged a metric."))


def order_of(metric: str) -> tuple[bool, str]:
    """Losses first."""
    return "loss" not in metric.lower(), metric


def findings_section(runs: Sequence[RunFiles], letters: Sequence[str]) -> Section:
    """Which finding each run has that still holds, and how bad it is."""
    found = [
        {
            str(each.get("kind")): str(each.get("severity"))
            for each in listed(run.diagnosis.get("verdicts"))
            if isinstance(each, dict) and each.get("holds", True)
        }
        for run in runs
    ]
    kinds = dict.fromkeys(
        kind for severity in WORDS for each in found for kind in each if each[kind] == severity
    )
    rows = [
        [kind, *(chip(each[kind].upper(), each[kind]) if kind in each else "" for each in found)]
        for kind in kinds
    ]
    body = table(rows, ("finding", *letters)) or note("Nothing was found in any of them.")
    return Section(
        "findings", "Findings", "What check-up and diagnosis found, and what held at the end.", body
    )


def commands_section(runs: Sequence[RunFiles], letters: Sequence[str]) -> Section:
    """The commands that started the runs, and the one that makes this page again."""
    body = ""
    for run, letter in zip(runs, letters, strict=True):
        words = run.launches[0].get("command") if run.launches else None
        if isinstance(words, list) and words:
            body += part(letter, command(train_py(*words)))
    body += part("This page", command(train_py("report", *(run.folder for run in runs))))
    return Section("commands", "Commands", "", body)
