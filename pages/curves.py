"""The section of curves: losses, metrics, learning rate."""

from __future__ import annotations

from callbacks.pictures.style import ORANGE
from pages.charts import SERIES, Charts, Curve, grid
from pages.frame import Section, note
from pages.run_files import RunFiles
from pages.thinning import MAX_POINTS

SPLITS = ("train", "val", "test")
WORDS = {"train": "training", "val": "validation", "test": "test"}
SLIDER = (
    '<div class="controls"><label>smoothing <input type="range" data-smoothing min="0" max="0.98" step="0.02" value="0"> '
    "<output>off</output></label><span data-step></span></div>"
)


def section(run: RunFiles, charts: Charts) -> Section:
    """Train and validation in one chart for each metric, losses first."""
    metrics = metrics_in(run)
    drawn = [charts.over_steps(metric, curves_of(run, metric)) for metric in metrics]
    drawn.append(charts.over_steps("learning rate", learning_rates(run), smooth=False))
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


def metrics_in(run: RunFiles) -> list[str]:
    """Names of metrics without their split, losses first."""
    found: dict[str, None] = {}
    for name in run.metrics:
        split, _, metric = str(name).partition("/")
        if split in SPLITS and metric:
            found[metric] = None
    return sorted(found, key=lambda metric: (not metric.startswith("loss"), metric))


def curves_of(run: RunFiles, metric: str) -> list[Curve]:
    """The curves of one metric, a color for each split."""
    return [
        Curve(WORDS[split], *run.curve(f"{split}/{metric}"), color)
        for split, color in zip(SPLITS, SERIES, strict=False)
    ]


def learning_rates(run: RunFiles) -> list[Curve]:
    """One curve for each group of parameters; equal ones once."""
    names = [
        str(name) for name in run.metrics if str(name).partition("/")[0].startswith(("lr", "learning_rate"))
    ]
    colors = (ORANGE, *SERIES)
    return [Curve(name, *run.curve(name), colors[place % len(colors)]) for place, name in enumerate(names)]
