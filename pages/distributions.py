"""The section of distributions: histograms of weights and activations of each layer, over the steps."""

from __future__ import annotations

import numpy as np

from pages.charts import grid, legend, outlines, shades
from pages.frame import Section, note, part
from pages.run_files import RunFiles

FEWEST = 30  # weights of a layer that make a distribution
KINDS = {
    "weights": (
        "Weights",
        "They usually widen from their initial values; a peak at 0 that stays is a layer at rest.",
    ),
    "activations": (
        "Activations",
        "What the layer puts out on validation rows. A heap at one end of a sigmoid or tanh is saturation, a spike at 0 "
        "of a relu are units that are off.",
    ),
}


def section(run: RunFiles) -> Section:
    """A small chart for each layer, with a line for each step at which pictures are drawn."""
    title = "Distributions"
    if not run.distributions:
        return Section("distributions", title, "", note(run.why_missing("inside/distributions.npz")))
    steps = run.distributions.get("steps", np.array([])).astype(int).ravel()
    colors = shades(max(1, len(steps)))
    keys = legend({f"step {step:,}": color for step, color in zip(steps, colors, strict=False)})
    body = ""
    for kind, (heading, meaning) in KINDS.items():
        names = sorted(
            name.split("/")[1]
            for name in run.distributions
            if name.startswith(f"{kind}/") and name.endswith("/counts")
        )
        drawn = grid([histograms(run, kind, layer, colors) for layer in names])
        body += part(heading, drawn, meaning)
    if not body:
        return Section("distributions", title, "", note("There are no distributions yet."))
    how = (
        "Each line is the distribution at one step, from early (dark) to late (bright): where it is high, values are "
        "frequent."
    )
    return Section("distributions", title, how, f"<p>{keys}</p>{body}")


def histograms(run: RunFiles, kind: str, layer: str, colors: list[str]) -> str:
    """The outlines of one layer's histograms; empty if they do not fit together."""
    counts = run.distributions.get(f"{kind}/{layer}/counts")
    edges = run.distributions.get(f"{kind}/{layer}/edges")
    if (
        counts is None
        or edges is None
        or counts.ndim != 2
        or edges.shape != (len(counts), counts.shape[1] + 1)
    ):
        return ""
    if kind == "weights" and counts.sum(axis=1).max(initial=0) < FEWEST:
        return ""
    lines = []
    for count, edge, color in zip(counts, edges, colors, strict=False):
        if count.sum() > 0 and np.isfinite(edge).all():
            width = np.diff(edge)
            density = np.divide(count, count.sum() * width, out=np.zeros(len(count)), where=width > 0)
            lines.append((edge, density, color))
    return outlines(run.label(layer), lines)
