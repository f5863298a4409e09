"""Whether the smallest or the largest value of a metric is the best, and which metric was meant."""

import difflib
from collections.abc import Iterator
from typing import Any

from torch import nn
from torchmetrics import Metric, MetricCollection

from runtime.errors import UsageError, did_you_mean
from runtime.metric_names import Mode, direction_of_name


def mode_of(settings: Any, model: nn.Module) -> Mode:
    """Whether the best value of the monitored metric is the smallest or the largest.

    Args:
        settings: `monitor_mode`, if it is set, decides; else `monitor` must say it.
        model: may hold the metric object.

    Raises:
        UsageError: if the direction is not certain.
    """
    mode = settings.monitor_mode or direction(settings.monitor, model)
    if mode is None:
        raise UsageError(
            f"--monitor {settings.monitor}: is its best value the smallest or the largest? "
            "add --monitor_mode min or --monitor_mode max"
        )
    return mode


def direction(name: str, model: nn.Module | None = None) -> Mode | None:
    """The direction of a metric; None if it is not certain."""
    for metric in metrics_called(name, model):
        if metric.higher_is_better is not None:
            return "max" if metric.higher_is_better else "min"
    return direction_of_name(name)


def metrics_called(name: str, model: nn.Module | None) -> Iterator[Metric]:
    """The torchmetrics objects that a module logs under this name: its `val_metrics`, and those of its collections."""
    if model is None:
        return
    own = getattr(model, "val_metrics", None)
    short = name.removeprefix("val/")
    key = (
        short if isinstance(own, nn.ModuleDict) and short in own else short.partition("/")[0]
    )  # of one class
    if isinstance(own, nn.ModuleDict) and name.startswith("val/") and key in own:
        found: Any = own[key]
        if isinstance(found, Metric):
            yield found
    for module in model.modules():
        if isinstance(module, MetricCollection):
            yield from (metric for key, metric in module.items() if key == name)


def nearest(metric: str, measured: list[str], logged: list[str]) -> str:
    """What was probably meant: rather a metric of the validation than one of the training.

    With several validation loaders, Lightning adds the loader's number to each name.
    """
    numbered = [name for name in measured if name.startswith(f"{metric}/dataloader_idx_")]
    if numbered:
        return f"there are several validation loaders: take one of {', '.join(sorted(numbered))}"
    return did_you_mean(
        metric, measured if difflib.get_close_matches(metric, measured, cutoff=0.5) else logged
    )
