"""Metrics by name: `--model.metrics [F1Score, AUROC]` adds torchmetrics' class of that name for the model's task."""

import contextlib
import inspect
import re
import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
import torchmetrics
import torchmetrics.segmentation
import torchmetrics.text
from torch import Tensor
from torchmetrics import MeanMetric, Metric

from lit_models.class_path import class_at
from lit_models.output_errors import OutputErrors
from lit_models.task import Task

MetricNames = Sequence[str] | Mapping[str, Mapping[str, Any]]
# Of classes that are counted over all rows or pixels together, both are the same.
SAME = {"dice": "F1Score", "iou": "JaccardIndex"}
MOST_OUTPUTS = 12  # whose errors are logged one by one, if they have names
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
    check_is_logged(name, metric)
    metric.gets = gets
    return metric


def check_is_logged(name: str, metric: Metric) -> None:
    """Refuse a metric of torchmetrics whose value is a matrix or a curve, if it has a value without any rows.

    Raises:
        ValueError: with the shape of the value.
    """
    if not type(metric).__module__.startswith("torchmetrics."):
        return
    value: Any = 0.0
    with warnings.catch_warnings(), contextlib.suppress(ValueError, RuntimeError, IndexError):
        warnings.simplefilter("ignore")  # of a value before the first batch
        value = metric.clone().compute()
    single_numbers(name, value)


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
    if prefix == "Multiclass":  # those of segmentation ask for the number of classes
        named.append(getattr(torchmetrics.segmentation, name, None))
    for kind in named:
        if isinstance(kind, type) and issubclass(kind, Metric):
            return kind
    choices = [each[len(prefix) :] for place in places for each in dir(place) if each.startswith(prefix)]
    close = get_close_matches(name, [*choices, *torchmetrics.segmentation.__all__, "Perplexity"], n=1)
    hint = f"did you mean {close[0]!r}?" if close else "see torchmetrics for the names"
    if prefix and (word := next((word for word in SAME if word in name.lower()), "")):
        hint = f"{SAME[word]} is the same over all rows and pixels together"
    raise ValueError(f"torchmetrics has no {prefix}{name} for model.metrics; {hint}")


def update_metrics(metrics: Mapping[str, Metric], task: Task, logits: Tensor, target: Tensor) -> None:
    """Add a batch to all metrics but the loss and its terms.

    They get what `task.for_metrics` returns: of classes the probabilities, and the truth. A metric whose attribute `gets`
    is "prediction" gets the classes, one with "logits" the logits (N, K, ...).
    """
    scores, truth = task.for_metrics(logits, target)
    for metric in metrics.values():
        gets = getattr(metric, "gets", None)
        if gets == "prediction":
            metric.update(task.predict(logits)["prediction"], truth)
        elif gets == "logits":
            metric.update(task.logits_for_metrics(logits), truth)
        elif type(metric) is not MeanMetric:  # those of the loss and its terms
            metric.update(scores, truth)


def measured(metrics: Mapping[str, Metric], names: Sequence[Any] = ()) -> dict[str, Tensor]:
    """What an evaluation logs: for each metric its value, or one for each class, such as `f1_score/disc`.

    Args:
        metrics: by name.
        names: of the classes or outputs, see `names_in`; without them the values are numbered.
    """
    values: dict[str, Tensor] = {}
    for name, metric in metrics.items():
        if isinstance(metric, OutputErrors):
            errors = metric.compute()
            is_named = errors.ndim == 1 and len(errors) == len(set(map(as_part, names))) <= MOST_OUTPUTS
            values |= single_numbers("mae", errors, names) if is_named else {}
            continue
        values |= single_numbers(name, metric.compute(), names)
    return values


def names_in(data: Any) -> Sequence[Any]:
    """The names of a data module's classes; if it has none, of its several outputs."""
    names = getattr(data, "class_names", ()) or getattr(data, "target_name", ())
    return () if isinstance(names, str) else names


def single_numbers(name: str, value: Any, names: Sequence[Any] = ()) -> dict[str, Any]:
    """A metric's value by its name; if it is several numbers, each as `name/part`.

    Args:
        name: of the metric.
        value: one number, one for each class (K,), or a mapping of such values.
        names: of the classes, taken if there are K different ones.

    Raises:
        ValueError: for a matrix or a curve.
    """
    if isinstance(value, Mapping):
        parts = [single_numbers(f"{name}/{as_part(key)}", each, names) for key, each in value.items()]
        return {long: number for part in parts for long, number in part.items()}
    if isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1):
        return {name: value}
    if isinstance(value, Tensor) and value.ndim == 1:
        words = list(dict.fromkeys(map(as_part, names)))
        keys: Sequence[Any] = words if len(words) == len(value) else range(len(value))
        return {f"{name}/{key}": number for key, number in zip(keys, value, strict=True)}
    form = f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    raise ValueError(
        f"model.metrics: the value of {name} is {form}, but only a number, or one for each class, can be logged; "
        "compute it from what `python train.py predict` writes"
    )


def as_part(name: Any) -> str:
    """A class name as the last part of a metric's name, which a slash would divide and a space would end."""
    return re.sub(r"[\s/=<>!,]+", "_", str(name))


def snake_case(name: str) -> str:
    """`F1Score` as `f1_score`, `AUROC` as `auroc`, `AveragePrecision` as `average_precision`, `MeanIoU` as `mean_iou`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][A-Za-z0-9])", "_", name).lower()
