"""The page of a sweep, `runs/<sweep>/report.html`: the best setting, all settings, pictures, curves, runs.

    write_sweep(Path("runs/rings_width"))

Everything on it comes from the sweep's files: sweep.json, settings.csv, runs.csv, the pictures, and its runs' folders.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from callbacks.files import write_whole
from pages.charts import Curve, over_steps, shades
from pages.curves import SLIDER
from pages.frame import Html, Section, chip, code, command, facts, note, page, part, short, table
from pages.gallery import within_budget
from pages.report import FILE
from pages.result import number_or_none
from pages.run_files import RunFiles, listed, mapping
from runtime.commands import train_py
from runtime.run_folder import ROOT

SUMMARY = "sweep.json"
MOST_ROWS = 200  # of a table
MOST_CURVES = 24
MOST_METRICS = 4  # of a table, next to the score
BUDGET = 2_500_000  # bytes of all pictures
KINDS = {"complete": "good", "pruned": "info", "failed": "fail", "running": "running"}  # of chips, by state
HOW = {
    "score": "A dot for each run, over the values of what varied; the line joins the best means.",
    "parallel": "A line for each setting: what it is made of, and on the right what it reached.",
    "heat": "The mean reached with each pair of values.",
}


def sweep_of(word: str) -> Path | None:
    """The folder of the sweep that is meant by its path or name; None if it is none."""
    return next((path for path in (Path(word), ROOT / word) if (path / SUMMARY).is_file()), None)


def write_sweep(folder: Path) -> Path:
    """Write the page of a sweep into its folder; returns its path.

    Raises:
        OSError: a file cannot be read or written.
    """
    path = folder / FILE
    write_whole(path, sweep(folder))
    return path


def sweep(folder: Path) -> str:
    """The page as HTML."""
    try:
        about = mapping(json.loads((folder / SUMMARY).read_text(encoding="utf-8")))
    except ValueError:
        about = {}
    settings, runs = (read(folder / f"{name}.csv") for name in ("settings", "runs"))
    flags = [str(flag) for flag in listed(about.get("flags")) if flag in settings and flag in runs]
    replicated = [str(flag) for flag in listed(about.get("replicated")) if flag in runs]
    name, monitor = str(about.get("name") or folder.name), str(about.get("monitor") or "score")
    counts = runs["state"].value_counts().to_dict() if "state" in runs else {}
    states = "".join(chip(f"{count} {state}", KINDS.get(str(state), "")) for state, count in counts.items())
    words = f"{monitor} of {len(settings):,} setting{'s' if len(settings) != 1 else ''}"
    head = f'<header><h1>{escape(name)}</h1><div class="meta"><span>{escape(words)}</span>{states}</div></header>'
    sections = [
        asked_section(about),
        best_section(about, settings, monitor),
        out_of_fold_section(about),
        settings_section(settings, flags, monitor),
        pictures_section(folder),
        curves_section(folder, runs, settings, flags, monitor),
        runs_section(folder, runs, [*flags, *replicated], monitor),
    ]
    return page(name, head, sections)


def read(path: Path) -> pd.DataFrame:
    """A table; an empty one if it is missing or damaged."""
    try:
        return pd.read_csv(path)
    except (OSError, ValueError):
        return pd.DataFrame()


def asked_section(about: dict[str, Any]) -> Section:
    """The command, what varied, over what each setting is averaged."""
    words = [str(word) for word in listed(about.get("command"))]
    found: dict[str, Html | str] = {
        "varied": flags_in(about, "flags"),
        "averaged over": flags_in(about, "replicated"),
    }
    found["seeds"] = ", ".join(str(seed) for seed in listed(about.get("seeds")))
    body = (command(train_py(*words)) if words else "") + facts(found)
    return Section("asked", "What was asked", "", body)


def flags_in(about: dict[str, Any], name: str) -> Html:
    """The flags that `sweep.json` lists under a name."""
    return Html(" ".join(code(f"--{flag}") for flag in listed(about.get(name))))


def best_section(about: dict[str, Any], settings: pd.DataFrame, monitor: str) -> Section:
    """The best setting, whether it can be told from the runner-up, and the command that trains it."""
    best = mapping(about.get("best"))
    if about.get("flags") == [] and "mean" in settings and not settings.empty:
        return mean_section(about, settings, monitor)
    if not best or settings.empty or "mean" not in settings:
        return Section("best", "Best setting", "", note("No run is complete, so there is no best setting."))
    names = " ".join(f"{flag}={value}" for flag, value in best.items())
    reached = f'<div class="result"><h4>reached with</h4><p><code>{escape(names)}</code></p></div>'
    card = f'<div class="results">{mean_card(settings, monitor)}{reached}</div>'
    body = card + part("Is it better than the runner-up?", f"<p>{escape(str(about.get('sentence', '')))}</p>")
    if words := [str(word) for word in listed(about.get("train"))]:
        body += part("Train it", command(train_py(*words)))
    side = "largest" if about.get("mode") == "max" else "smallest"
    how = f"The setting with the {side} mean over its runs; of many settings, the best is partly luck."
    return Section("best", "Best setting", how, body)


def mean_section(about: dict[str, Any], settings: pd.DataFrame, monitor: str) -> Section:
    """Of a sweep that replicates one setting, over folds or seeds: the mean, as none is the best."""
    how = "The same setting, several times: what the runs reach on average, and how much they differ."
    error = about.get("standard_error")
    words = note(f"Standard error of the mean {short(error)}.") if isinstance(error, float) else ""
    return Section("best", "Mean", how, f'<div class="results">{mean_card(settings, monitor)}</div>{words}')


def out_of_fold_section(about: dict[str, Any]) -> Section:
    """The metrics over all rows, each predicted by the network that was not trained on it."""
    found = mapping(about.get("out_of_fold"))
    metrics = {name: number_or_none(each) for name, each in mapping(found.get("metrics")).items()}
    rows = [[name, short(each)] for name, each in metrics.items() if each is not None]
    body = table(rows, ("metric", "over all rows"), numbers=[1]) if rows else ""
    body += note(f"out_of_fold.csv has the predictions of all {found.get('rows')} rows.") if found else ""
    how = (
        "Each row is predicted by the network that was not trained on it. best.ckpt of each fold was chosen on these "
        "rows, so the figures are a little too good."
    )
    return Section("out-of-fold", "Out of fold", how, body)


def mean_card(settings: pd.DataFrame, monitor: str) -> str:
    """Mean and deviation of the first setting."""
    row = settings.iloc[0]
    count = int(row.get("runs", 0))
    spread = (
        f"standard deviation {short(float(row['deviation']))} over {count} runs" if count > 1 else "one run"
    )
    return (
        f'<div class="result"><h4>{escape(monitor)}</h4>'
        f'<div class="value">{short(float(row["mean"]))}</div><p>{escape(spread)}</p></div>'
    )


def settings_section(settings: pd.DataFrame, flags: Sequence[str], monitor: str) -> Section:
    """All settings, the best first: mean and deviation over the runs."""
    if settings.empty or "mean" not in settings:
        return Section("settings", "Settings", "", note("settings.csv is missing or damaged."))
    extra = [name for name in ("pruned", "failed") if name in settings and settings[name].any()]
    extra += [name for name in ("seconds", "gradient_ratio", "diagnosis") if name in settings]
    extra += [name for name in map(str, settings) if name.startswith("mean ")][:MOST_METRICS]
    rows = [
        [*(value(row[flag]) for flag in flags), *map(value, (row["mean"], row["deviation"], row["runs"]))]
        + [value(row[name]) for name in extra]
        for _, row in settings[:MOST_ROWS].iterrows()
    ]
    names = {"gradient_ratio": "gradient ratio", "seconds": "seconds each"}
    header = [*flags, f"mean {monitor}", "deviation", "runs", *(names.get(name, name) for name in extra)]
    right = [k for k, name in enumerate(header) if name not in ("diagnosis",)]
    body = table(rows, header, numbers=right)
    if len(settings) > MOST_ROWS:
        body += note(f"{len(settings) - MOST_ROWS:,} more are in settings.csv.")
    how = "The best first; a setting whose runs are not all complete comes after those whose runs are."
    return Section("settings", "Settings", how, body)


def value(cell: Any) -> str:
    """A cell of a table of pandas as people read it; nothing for a missing value."""
    if isinstance(cell, float):
        return "" if cell != cell else short(cell)
    return str(cell)


def pictures_section(folder: Path) -> Section:
    """The pictures that the sweep has drawn."""
    paths = {path.stem: {0: path} for path in sorted((folder / "pictures").glob("*.png"))}
    order = sorted(paths, key=lambda stem: (stem != "score", stem != "parallel", stem))
    shown, left_out = within_budget({stem: paths[stem] for stem in order}, BUDGET)
    figures = "".join(
        f'<figure class="picture"><figcaption><strong>{escape(stem)}</strong></figcaption>'
        f'<p>{escape(HOW.get(stem.partition("_")[0], ""))}</p><img src="{steps[0]}" alt="{escape(stem)}"></figure>'
        for stem, steps in shown.items()
        if steps
    )
    body = f'<div class="pictures">{figures}</div>' if figures else ""
    body += (
        note(f"To keep this page small, {left_out} pictures are only in the folder pictures.")
        if left_out
        else ""
    )
    return Section("pictures", "Pictures", "", body)


def curves_section(
    folder: Path, runs: pd.DataFrame, settings: pd.DataFrame, flags: Sequence[str], monitor: str
) -> Section:
    """The metric over the steps: one run of each setting, the best settings first, colored by rank."""
    found: dict[str, RunFiles] = {}
    for _, row in settings.iterrows():
        same = runs
        for flag in flags:
            same = same[same[flag].astype(str) == str(row[flag])]
        folders = [run_folder(folder, place) for place in same["folder"].dropna()] if "folder" in same else []
        logged = [path for path in folders if path is not None and (path / "metrics.csv").exists()]
        if logged and len(found) < MOST_CURVES:
            label = " ".join(f"{flag.rpartition('.')[2]}={value(row[flag])}" for flag in flags)
            found[label or logged[0].name] = RunFiles(logged[0])
    colors = shades(max(len(found), 1))
    curves = [
        Curve(name, *run.curve(monitor), color)
        for (name, run), color in zip(found.items(), colors, strict=False)
    ]
    how = "One run of each setting, from the best (dark) to the worst (light) of those shown."
    chart = over_steps(monitor, curves)
    return Section("curves", "Curves", how, SLIDER + chart if chart else "")


def run_folder(sweep: Path, place: Any) -> Path | None:
    """The folder of a run, which is noted from where the sweep was started; also if all was moved since."""
    return next((path for path in (Path(str(place)), sweep / Path(str(place)).name) if path.is_dir()), None)


def runs_section(folder: Path, runs: pd.DataFrame, flags: Sequence[str], monitor: str) -> Section:
    """Every run with its seed, state and score, linked to its page."""
    if runs.empty:
        return Section("runs", "Runs", "", note("runs.csv is missing or damaged."))
    rows = []
    for _, row in runs[:MOST_ROWS].iterrows():
        state = str(row.get("state"))
        rows.append(
            [
                link(folder, row.get("folder")),
                *(value(row[flag]) for flag in flags),
                value(row.get("seed")),
                chip(state, KINDS.get(state, "")),
                value(row.get("score")),
                value(row.get("seconds")),
                value(row.get("error")) if isinstance(row.get("error"), str) else "",
            ]
        )
    header = ["run", *flags, "seed", "state", monitor, "seconds", "error"]
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    right = [*range(1, len(flags) + 2), len(flags) + 3, len(flags) + 4]
    body = table(rows, header, numbers=right)
    if len(runs) > MOST_ROWS:
        body += note(f"{len(runs) - MOST_ROWS:,} more are in runs.csv.")
    return Section("runs", "Runs", "", body)


def link(folder: Path, place: Any) -> Html | str:
    """The name of a run, linked to its page if it has one."""
    if not isinstance(place, str):
        return ""
    path = run_folder(folder, place)
    name = escape(Path(place).name)
    if path is None or not (path / FILE).exists():
        return Html(name)
    return Html(f'<a href="{escape(Path(os.path.relpath(path / FILE, folder)).as_posix())}">{name}</a>')
