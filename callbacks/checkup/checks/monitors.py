"""Is each metric logged that a checkpoint, an early stop or a schedule follows?"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.model_helpers import is_overridden

from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError, DoesNotApplyError
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.verdict import Verdict

_SUFFIXES = ("", "_step", "_epoch")  # which Lightning appends if a metric is logged both ways
_HOOKS = [  # of a module, which may log what its steps do not
    f"on_{stage}_{when}"
    for stage in ("train", "validation")
    for when in ("start", "epoch_start", "batch_start", "batch_end", "epoch_end", "end")
]


def monitored_metrics_are_logged(subject: Subject) -> list[Verdict]:
    """What is followed must be among what one training step and one validation step log."""
    followed = list(_followed(subject.trainer))
    if not followed:
        raise DoesNotApplyError("no callback and no schedule follows a metric")
    copy, _ = subject.still, subject.traces
    copy.validate(subject.val_batches[0])
    logged = {name + suffix for name in copy.logged for suffix in _SUFFIXES}
    missing = {metric: owner for owner, metric in followed if metric not in logged}
    if not missing:
        return []
    _refuse_other_sources(subject, list(missing))
    owners = ", ".join(f"{owner} follows {metric}" for metric, owner in missing.items())
    known = ", ".join(sorted(copy.logged)) or "nothing"
    return [
        Verdict(
            "monitored metric is not logged",
            [],
            f"{owners}, but the steps of training and validation log {known}.",
            "the name of a metric that is logged for monitor (`--monitor`)",
            "fail",
        )
    ]


def _followed(trainer: Any) -> Iterator[tuple[str, str]]:
    """Who follows a metric, and which."""
    for callback in trainer.callbacks:
        if isinstance(metric := getattr(callback, "monitor", None), str):
            yield type(callback).__name__, metric
    for config in trainer.lr_scheduler_configs:
        if config.reduce_on_plateau and config.monitor:
            yield type(config.scheduler).__name__, config.monitor


def _refuse_other_sources(subject: Subject, metrics: list[str]) -> None:
    """
    Raises:
        CannotCheckError: if something besides the two steps may log these metrics.
    """
    module, loaders = subject.module, subject.trainer.val_dataloaders
    if isinstance(loaders, dict | list | tuple) and len(loaders) > 1:
        raise CannotCheckError("there are several validation loaders")
    if any(isinstance(part, LightningModule) for part in module.modules() if part is not module):
        raise CannotCheckError("parts of the module may log it")
    if any(is_overridden(hook, module, LightningModule) and _may_log(module, hook) for hook in _HOOKS):
        raise CannotCheckError("other hooks of the module may log it")
    if any(metric in _source(type(module)) for metric in metrics):
        raise CannotCheckError("the module names it, and may log it in other batches")
    if any("module.log" in _source(type(callback)) for callback in subject.trainer.callbacks):
        raise CannotCheckError("a callback may log it")


def _may_log(module: LightningModule, hook: str) -> bool:
    """At the end of an epoch what was collected is logged, be it by another method; elsewhere the hook itself says so."""
    return hook.endswith("epoch_end") or "log" in _source(getattr(type(module), hook))


def _source(kind: Any) -> str:
    """The text of a class or function; empty if there is none."""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""


CHECKS = (
    Check("what a checkpoint, an early stop or a schedule follows is logged", monitored_metrics_are_logged),
)
