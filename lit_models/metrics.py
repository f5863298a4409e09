"""Metrics by name: `--model.metrics [F1Score, AUROC]` adds torchmetrics' class of that name for the model's task."""

import inspect
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
import torchmetrics
import torchmetrics.segmentation
import torchmetrics.text
from torch import Tensor
from torchmetrics import Metric

from lit_models.class_path import class_at
from lit_models.task import Task

MetricNames = Sequence[str] | Mapping[str, Mapping[str, Any]]
GETS = ("prediction", "logits")  # what a metric may get instead of what `Task.for_metrics` returns


class Perplexity(torchmetrics.text.Perplexity):
    """exp(mean cross-entropy of the positions that are not ignored).

    torchmetrics takes the logarithm of probabilities, which is minus infinity for a target as improbable as 1e-46.
    """

    gets = "logits"

    def update(self, logits: Tensor, truth: Tensor) -> None:
        """Add logits (N, K, ...) and classes (N, ...)."""
        counted = (
            torch.ones_like(truth, dtype=torch.bool)
            if self.ignore_index is None
            else truth != self.ignore_index
        )
        # Not `cross_entropy`: the diagnosis watches its calls, and takes the only one for the loss.
        log_p = logits.float().log_softmax(1).gather(1, truth.where(counted, 0)[:, None])[:, 0]
        self.total_log_probs -= log_p.where(counted, 0).sum()
        self.count += counted.sum()


def new_metrics(names: MetricNames, task: Task) -> dict[str, Metric]:
    """The metrics of these names, by the name under which they are logged, such as `f1_score` and `auroc`.

    Args:
        names: of classes of torchmetrics without the prefix of a task (`F1Score` is `MulticlassF1Score` for several
            classes), or class paths of any `torchmetrics.Metric`. A mapping has arguments for each, as in
            {F1Score: {average: macro}}; the argument `gets` says what the metric gets, see `update_metrics`.
        task: gives what the data determine, such as the number of classes.

    Raises:
        ValueError: for a name that torchmetrics does not have for this task, or arguments it does not accept.
    """
    options = names if isinstance(names, Mapping) else {name: {} for name in names}
    found: dict[str, Metric] = {}
    for name, more in options.items():
        logged = snake_case(name.rpartition(".")[2])
        if logged in found:
            raise ValueError(f"model.metrics has two metrics that would be logged as {logged}; leave one out")
        found[logged] = new_metric(name, more or {}, task)
    return found


def new_metric(name: str, options: Mapping[str, Any], task: Task) -> Metric:
    """One metric for a task; arguments that its class names, and the data determine, are filled in."""
    prefix, known = task.metric_options()
    kind = metric_class(name, prefix)
    wanted = inspect.signature(kind).parameters
    given = {**{option: value for option, value in known.items() if option in wanted}, **options}
    gets = given.pop("gets", getattr(kind, "gets", None))
    if gets not in (None, *GETS):
        raise ValueError(
            f"model.metrics: {name}: gets is {gets!r}; it must be {' or '.join(GETS)}, or left out"
        )
    if issubclass(kind, Perplexity) and "num_classes" not in known:
        raise ValueError("model.metrics: Perplexity is one of classes; this task has none")
    try:
        metric = kind(**given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"model.metrics: {kind.__name__}: {error}") from None
    metric.gets = gets
    return metric


def metric_class(name: str, prefix: str) -> type[Metric]:
    """The class of a name or class path, for tasks whose metrics have this prefix in torchmetrics."""
    if "." in name:
        found = class_at("model.metrics:", name, Metric, "the name or class path of a metric")
        return Perplexity if found is torchmetrics.text.Perplexity else found
    if name == "Perplexity":
        return Perplexity
    places = (
        (torchmetrics.classification, torchmetrics) if prefix else (torchmetrics, torchmetrics.regression)
    )
    named = [getattr(place, prefix + name, None) for place in places]
    for kind in [*named, getattr(torchmetrics.segmentation, name, None)]:
        if isinstance(kind, type) and issubclass(kind, Metric):
            return kind
    choices = [each[len(prefix) :] for place in places for each in dir(place) if each.startswith(prefix)]
    close = get_close_matches(name, [*choices, *torchmetrics.segmentation.__all__, "Perplexity"], n=1)
    hint = f"did you mean {close[0]!r}?" if close else "see torchmetrics for the names"
    raise ValueError(f"torchmetrics has no {prefix}{name} for model.metrics; {hint}")


def update_metrics(metrics: Mapping[str, Metric], task: Task, logits: Tensor, target: Tensor) -> None:
    """Add a batch to all metrics but the loss.

    They get what `task.for_metrics` returns: of classes the probabilities, and the truth. A metric whose attribute `gets`
    is "prediction" gets the classes, one with "logits" the logits (N, K, ...).
    """
    scores, truth = task.for_metrics(logits, target)
    for name, metric in metrics.items():
        gets = getattr(metric, "gets", None)
        if gets == "prediction":
            metric.update(task.predict(logits)["prediction"], truth)
        elif gets == "logits":
            metric.update(task.logits_for_metrics(logits), truth)
        elif name != "loss":
            metric.update(scores, truth)


def snake_case(name: str) -> str:
    """`F1Score` as `f1_score`, `AUROC` as `auroc`, `AveragePrecision` as `average_precision`, `MeanIoU` as `mean_iou`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][A-Za-z0-9])", "_", name).lower()
