"""The section of curves: losses, metrics, learning rate."""

from __future__ import annotations

import re

from callbacks.pictures.style import BLUE, GREEN, ORANGE, PURPLE, VERMILION
from pages.charts import SERIES, Curve, grid, over_steps
from pages.frame import Section, note
from pages.run_files import RunFiles
from pages.thinning import MAX_POINTS
from runtime.metric_names import direction_of_name

SPLITS = dict.fromkeys(("train", "training"), "training")
SPLITS |= dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "validation") | {"test": "test"}
SPLIT = re.compile(rf"(?P<split>{'|'.join(SPLITS)})[/_](?P<metric>.+)")
COLORS = {"training": BLUE, "validation": VERMILION, "test": GREEN, "": PURPLE}
NOT_METRICS = {"step", "epoch", "seconds", "hp_metric", "grad_norm_total", "clip_factor", "amp_scale"}
INSIDE = re.compile(r"[^/]+/\d\d+_")  # a quantity of a layer
SLIDER = (
    '<div class="controls"><label>smoothing <input type="range" data-smoothing min="0" max="0.98" step="0.02" value="0"> '
    "<output>off</output></label><span data-step></span></div>"
)


def section(run: RunFiles) -> Section:
    """Train and validation in one chart for each metric, losses first."""
    metrics = metrics_in(run)
    drawn = [
        over_steps(
            metric, curves_of(run, columns), logarithmic=False if direction_of_name(metric) == "max" else None
        )
        for metric, columns in metrics.items()
    ]
    drawn.append(over_steps("learning rate", learning_rates(run), smooth=False))
    body = grid(drawn)
    if not body:
        return Section(
            "curves", "Curves", "", note(run.why_missing("metrics.csv")) if is_missing(run) else ""
        )
    longest = max(len(run.curve(str(name))[0]) for name in run.metrics)
    if longest > MAX_POINTS:
        body += note(
            f"The longest curve has {longest:,} points. At most {MAX_POINTS:,} of each are drawn: in each stretch the "
            "smallest and the largest, so that no peak is lost. metrics.csv has them all."
        )
    how = (
        "A loss should fall: if the training loss falls while the validation loss rises, the network learns its rows by "
        "heart. Move over a chart to read the values; drag to zoom in, press twice to zoom out."
    )
    if run.resumed_at:
        how += " Dotted lines mark where the run was resumed."
    return Section("curves", "Curves", how, SLIDER + body)


def is_missing(run: RunFiles) -> bool:
    """Whether there is no table of metrics at all, or a damaged one."""
    return run.metrics.empty


def metrics_in(run: RunFiles) -> dict[str, dict[str, str]]:
    """The columns of each metric by their split, losses first; "" is the split of a metric without one.

    `val/loss`, `val_loss` and `valid/loss` are all the loss of the validation.
    """
    found: dict[str, dict[str, str]] = {}
    for name in map(str, run.metrics):
        if name in NOT_METRICS or INSIDE.match(name) or is_rate(name):
            continue
        match = SPLIT.fullmatch(name)
        metric, split = (match["metric"], SPLITS[match["split"]]) if match else (name, "")
        found.setdefault(metric, {})[split] = name
    return dict(sorted(found.items(), key=lambda item: ("loss" not in item[0].lower(), item[0])))


def curves_of(run: RunFiles, columns: dict[str, str]) -> list[Curve]:
    """The curves of one metric, a color for each split."""
    return [
        Curve(split or "value", *run.curve(columns[split]), color)
        for split, color in COLORS.items()
        if split in columns
    ]


def is_rate(name: str) -> bool:
    """Whether a column is a learning rate, as this project or Lightning's LearningRateMonitor calls it."""
    return re.match(r"lr\b|lr[-_/]|learning_rate", name) is not None


def learning_rates(run: RunFiles) -> list[Curve]:
    """One curve for each group of parameters."""
    names = [name for name in map(str, run.metrics) if is_rate(name)]
    colors = (ORANGE, *SERIES)
    return [Curve(name, *run.curve(name), colors[place % len(colors)]) for place, name in enumerate(names)]
