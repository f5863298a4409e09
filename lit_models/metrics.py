"""Metrics by name: `--model.metrics [F1Score, AUROC]` adds torchmetrics' class of that name for the model's task."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torchmetrics
from torchmetrics import Metric

from lit_models.tasks import Task

MetricNames = Sequence[str] | Mapping[str, Mapping[str, Any]]


def new_metrics(names: MetricNames, task: Task) -> dict[str, Metric]:
    """The metrics of these names, by the name under which they are logged, such as `f1_score` and `auroc`.

    Args:
        names: of classes of torchmetrics without the prefix of a task: `F1Score` is `MulticlassF1Score` for several
            classes. A mapping has arguments for each: {F1Score: {average: macro}}.
        task: gives what the data determine, such as the number of classes.

    Raises:
        ValueError: for a name that torchmetrics does not have for this task, or arguments it does not accept.
    """
    options = names if isinstance(names, Mapping) else {name: {} for name in names}
    return {snake_case(name): new_metric(name, more or {}, task) for name, more in options.items()}


def new_metric(name: str, options: Mapping[str, Any], task: Task) -> Metric:
    """One metric for a task."""
    prefix, known = task.metric_options()
    places = (
        (torchmetrics.classification, torchmetrics) if prefix else (torchmetrics, torchmetrics.regression)
    )
    kind = next((getattr(place, prefix + name) for place in places if hasattr(place, prefix + name)), None)
    if not (isinstance(kind, type) and issubclass(kind, Metric)):
        choices = [each[len(prefix) :] for place in places for each in dir(place) if each.startswith(prefix)]
        close = get_close_matches(name, choices, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "see torchmetrics for the names"
        raise ValueError(f"torchmetrics has no {prefix}{name} for model.metrics; {hint}")
    try:
        return kind(**{**known, **options})
    except (TypeError, ValueError) as error:
        raise ValueError(f"model.metrics: {prefix}{name}: {error}") from None


def snake_case(name: str) -> str:
    """`F1Score` as `f1_score`, `AUROC` as `auroc`, `AveragePrecision` as `average_precision`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
