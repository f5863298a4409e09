"""The metrics of an evaluation as figures for people: with a 95 % interval, and next to a constant answer.

A metric is recognized by its value, not only by its name: an accuracy whose value is not a whole number of rows is no
share of rows, and a loss that differs from the one that was counted row by row is another quantity. Such metrics have no
interval and no constant answer. Where a row has many targets, such as pixels, the unit of the interval is the row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from callbacks.dependent_rows import t_quantile
from callbacks.diagnostics.evidence import Evidence
from callbacks.diagnostics.loss_calls import CLASS_LOSSES

Z = 1.959964  # of the standard normal distribution: 95 % lie within
PREFIX = re.compile(r"^(val|valid|validation|test)[/_]")
ACCURACY = re.compile(r"acc(uracy)?$")
NOT_METRICS = ("epoch", "step")


def figures(
    metrics: Mapping[str, float],
    evidence: Evidence | str | None,
    rows: int | None,
    class_name: str = "",
    target_std: float = 1.0,
    independent: bool = True,
) -> dict[str, dict[str, Any]]:
    """For each metric, without its prefix: `value`, `low`, `high`, `constant`, `constant_words`; None where unknown.

    Args:
        metrics: as they were logged, such as `val/loss`.
        evidence: of all the rows; anything else is no evidence.
        rows: their number; None if unknown.
        class_name: of the most frequent class.
        target_std: by which a target was divided; the errors of metrics are in the units of the table.
        independent: whether the rows are. Otherwise intervals are those that the evidence has.
    """
    known = evidence if isinstance(evidence, Evidence) and evidence.whole and rows else None
    found = {}
    for name, value in metrics.items():
        if name in NOT_METRICS:
            continue
        short = PREFIX.sub("", name)
        found[short] = {"value": value} | figure(
            short, value, known, rows, class_name, target_std, independent
        )
    return found


def figure(
    name: str,
    value: float,
    evidence: Evidence | None,
    rows: int | None,
    class_name: str,
    target_std: float,
    independent: bool,
) -> dict[str, Any]:
    """`low`, `high`, `constant` and `constant_words` of one metric."""
    low = high = constant = None
    words = ""
    several = evidence is not None and evidence.targets_per_row != 1
    if several and evidence is not None and is_accuracy(name, value, evidence):
        constant, words = evidence.majority, f"always {most_frequent(evidence, class_name)}"
        if independent and evidence.clusters > 1 and math.isfinite(evidence.accuracy_error):
            error = t_quantile(evidence.clusters - 1) * evidence.accuracy_error
            low, high = max(value - error, 0.0), min(value + error, 1.0)
    elif not several and is_share(name, value, rows):
        assert rows is not None
        if independent:
            low, high = wilson(round(value * rows), rows)
        elif worth := worth_in_rows(value, evidence):
            low, high = wilson(value * worth, worth)
        if evidence is not None and evidence.accuracy is not None and is_close(value, evidence.accuracy):
            constant, words = (
                evidence.majority,
                f"always {class_name}" if class_name else "always the same class",
            )
    elif re.fullmatch(r"r2|r2_score", name.lower()):
        constant, words = 0.0, "always the mean"
    elif evidence is not None and (factor := factor_of(name, value, evidence, target_std)) is not None:
        constant = evidence.constant * factor
        words = "the shares of the classes" if evidence.classes else "always the mean"
        if evidence.loss_name == "l1_loss":
            constant, words = None, ""  # the best constant answer is the median, which was not counted
        half = half_of_loss(evidence, rows, independent) * factor
        if math.isfinite(half):
            low, high = value - half, value + half
    return {"low": low, "high": high, "constant": constant, "constant_words": words}


def is_accuracy(name: str, value: float, evidence: Evidence) -> bool:
    """Whether it is the share of correct classes among all positions that were counted."""
    return ACCURACY.search(name.lower()) is not None and is_close(value, evidence.accuracy or math.nan)


def most_frequent(evidence: Evidence, class_name: str) -> str:
    """The constant answer; of labels or pixels with a logit each it is 0 or 1, and not a class with a name."""
    return class_name or "the same class" if evidence.loss_name in CLASS_LOSSES else str(evidence.answer)


def is_share(name: str, value: float, rows: int | None) -> bool:
    """Whether it is an accuracy that is a share of these rows, up to the precision of float32."""
    if not rows or not ACCURACY.search(name.lower()) or not 0 <= value <= 1:
        return False
    hits = value * rows
    return abs(hits - round(hits)) < 1e-3 + 1e-6 * rows and rows < 100_000


def factor_of(name: str, value: float, evidence: Evidence, target_std: float) -> float | None:
    """By how much a metric exceeds the loss that was counted: 1, or squared units of the table; None if it is another."""
    factors = {"loss": 1.0}
    if evidence.loss_name == "mse_loss":
        factors["mse"] = target_std**2
    for end, factor in factors.items():
        if name.lower().endswith(end) and is_close(value, evidence.loss * factor):
            return factor
    return None


def is_close(value: float, other: float) -> bool:
    """Whether two numbers are the same up to the precision of float32 sums."""
    return math.isclose(value, other, rel_tol=1e-4, abs_tol=1e-9)


def half_of_loss(evidence: Evidence, rows: int | None, independent: bool) -> float:
    """Half of the 95 % interval of the loss; NaN if unknown."""
    if not independent:
        return evidence.loss_half
    several = evidence.targets_per_row != 1
    if evidence.clusters > 1 or (not several and rows is not None and evidence.rows <= rows):
        return (t_quantile(evidence.clusters - 1) if several else Z) * evidence.loss_error
    return math.nan


def worth_in_rows(value: float, evidence: Evidence | None) -> float | None:
    """How many independent rows would say as much of an accuracy as these rows, which depend on each other.

    It is the number whose usual interval is as wide (Korn & Graubard 1998, Survey Methodology 24, 193-201). None if
    that is unknown, or all rows were answered alike.
    """
    if evidence is None or evidence.accuracy is None or not is_close(value, evidence.accuracy):
        return None
    half = evidence.accuracy_half
    return Z**2 * value * (1 - value) / half**2 if half > 0 and 0 < value < 1 else None


def wilson(hits: float, rows: float) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which also holds close to 0 and 1."""
    share, spread = hits / rows, Z**2 / rows
    center = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / rows + spread / (4 * rows)) / (1 + spread)
    return max(center - half, 0.0), min(center + half, 1.0)
