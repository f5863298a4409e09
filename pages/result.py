"""The section of results: each metric with its interval, next to what a constant answer reaches."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from pages.curves import metrics_in
from pages.frame import Section, note, part, short, table
from pages.run_files import RunFiles, mapping
from runtime.metric_names import direction_of_name

TITLES = {"validation": "Validation", "test": "Test"}
ONE = ("accuracy", "acc", "auroc", "auc", "f1", "precision", "recall", "agreement", "r2")  # at most 1


def section(run: RunFiles) -> Section:
    """Validation and test of result.json; without it, what metrics.csv says."""
    splits = {name: mapping(run.result.get(name)) for name in TITLES}
    cards = {name: "".join(cards_of(found)) for name, found in splits.items()}
    if not any(cards.values()):
        return without_result(run)
    body = ""
    for name, html in cards.items():
        if html:
            body += part(TITLES[name], f'<div class="results">{html}</div>', where(splits[name], name))
    how = (
        "The dot is this network, the band around it the 95 % interval: the same network on other rows of the same kind "
        "would mostly land in it. The upright mark is an answer that ignores the inputs; a network that has learned is "
        "clearly on the better side of it."
    )
    return Section("result", "Result", how, body)


def where(found: dict[str, Any], split: str) -> str:
    """Which network was measured, on which rows."""
    checkpoint, step, rows = (found.get(key) for key in ("checkpoint", "step", "rows"))
    words = f"Measured on {rows:,} {split} rows" if is_number(rows) else "Measured"
    words += f" with {checkpoint}" if checkpoint else ""
    return words + (f", the network after {step:,} steps." if is_number(step) else ".")


def cards_of(found: dict[str, Any]) -> list[str]:
    """A card for each metric."""
    rows = found.get("rows")
    metrics = {name: mapping(values) for name, values in mapping(found.get("metrics")).items()}
    return [
        card(name, values, rows if is_number(rows) else None)
        for name, values in sorted(metrics.items(), key=lambda item: item[0].startswith("loss"))
        if is_number(values.get("value"))
    ]


def card(name: str, values: dict[str, Any], rows: int | None) -> str:
    """One metric: its value, a scale, and in words what the scale shows.

    Args:
        name: of the metric.
        values: `value`, `low`, `high`, `constant`, `constant_words`; all but the first may be None.
        rows: on how many it was measured.
    """
    low, high, constant = (number_or_none(values.get(key)) for key in ("low", "high", "constant"))
    value = float(values["value"])
    digits = decimals(value, low, high)
    words = sentence(values, digits, rows)
    better = {"min": "lower is better", "max": "higher is better"}.get(direction_of_name(name) or "", "")
    return (
        f'<div class="result"><h4>{escape(name)}{f" · {better}" if better else ""}</h4>'
        f'<div class="value">{value:.{digits}f}</div>{scale(name, value, low, high, constant)}'
        f"<p>{escape(words)}</p></div>"
    )


def sentence(values: dict[str, Any], digits: int, rows: int | None) -> str:
    """The metric in words: "0.791 on 714 rows (0.760 to 0.820); always 'died' 0.594"."""
    low, high, constant = (number_or_none(values.get(key)) for key in ("low", "high", "constant"))
    words = f"{float(values['value']):.{digits}f}" + (f" on {rows:,} rows" if rows else "")
    if low is not None and high is not None:
        words += f" ({low:.{digits}f} to {high:.{digits}f})"
    if constant is not None:
        words += f"; {values.get('constant_words') or 'a constant answer'} {constant:.{digits}f}"
    return words


def decimals(value: float, low: float | None, high: float | None) -> int:
    """Decimals to show: three digits of the value, and two of half the interval."""
    known = [(value, 3), *([((high - low) / 2, 2)] if low is not None and high is not None else [])]
    needed = [
        digits - 1 - math.floor(math.log10(abs(number)))
        for number, digits in known
        if number and math.isfinite(number)
    ]
    return min(9, max([0, *needed])) if needed else 3


def scale(name: str, value: float, low: float | None, high: float | None, constant: float | None) -> str:
    """A line from the smallest to the largest possible value, with dot, band and mark; decoration of the sentence."""
    known = [each for each in (value, low, high, constant) if each is not None]
    if not all(map(math.isfinite, known)) or len(known) == 1:
        return ""
    largest = 1.0 if name.lower().rpartition("_")[2] in ONE and max(known) <= 1 else 1.15 * max(known)
    smallest = min(0.0, 1.15 * min(known))
    if largest <= smallest:
        return ""

    def place(each: float) -> str:
        return f"{100 * (each - smallest) / (largest - smallest):.2f}%"

    marks = ""
    if low is not None and high is not None:
        marks += f'<i style="left:{place(low)};width:{100 * (high - low) / (largest - smallest):.2f}%"></i>'
    if constant is not None:
        marks += f'<s style="left:{place(constant)}"></s>'
    return f'<div class="scale" aria-hidden="true">{marks}<b style="left:{place(value)}"></b></div>'


def without_result(run: RunFiles) -> Section:
    """Last, smallest and largest value of each metric of a validation, from metrics.csv."""
    names = [
        name
        for columns in metrics_in(run).values()
        for split, name in columns.items()
        if split in ("validation", "test")
    ]
    rows = []
    for name in names:
        steps, values = run.curve(name)
        if len(values):
            least, most = values.argmin(), values.argmax()
            rows.append(
                (
                    name,
                    short(values[-1]),
                    *(f"{short(values[k])} at step {int(steps[k]):,}" for k in (least, most)),
                )
            )
    if not rows:
        return Section(
            "result", "Result", "", note("Nothing was validated or tested, so there is no result.")
        )
    body = table(rows, ("metric", "last", "smallest", "largest"), numbers=(1, 2, 3))
    how = "What the validations measured; there are no intervals and no constant answer to compare with."
    return Section("result", "Result", how, body + note(run.why_missing("result.json")))


def is_number(value: Any) -> bool:
    """Whether it is an int or a float."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_or_none(value: Any) -> float | None:
    """The number, or None."""
    return float(value) if is_number(value) else None
