"""What every run has besides its model and data: callbacks and loggers, unless the config brings its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace
from pytorch_lightning.callbacks import Callback, ProgressBar
from pytorch_lightning.loggers import Logger

from callbacks import ActivationMonitor, Diagnosis, GradientMonitor, NonFiniteGuard
from callbacks.pictures import EVERY_RUN
from callbacks.pictures.gallery import Gallery
from callbacks.predictions import PredictionWriter
from callbacks.progress import Progress
from cli.checks import MonitorCheck
from runtime.checkpoint import BestCheckpoint, LastCheckpoint
from runtime.loggers import BufferedTensorBoardLogger, MetricsCSV
from runtime.stop import StopOnSignal

DIAGNOSTICS = (GradientMonitor, ActivationMonitor, NonFiniteGuard, Diagnosis)


def callbacks_of(command: str, settings: Namespace, given: list[Callback], folder: Path) -> list[Callback]:
    """The callbacks of a command.

    Args:
        command: "fit", "validate", "test" or "predict".
        settings: its config.
        given: callbacks of the config; no second one of their class is added.
        folder: of the run.
    """
    own: list[Callback] = []
    if settings.trainer.enable_progress_bar is not False and not has(given, ProgressBar):
        own.append(Progress())
    if command == "predict":
        own.append(PredictionWriter(folder))
    if command != "fit":
        return own
    if settings.diagnostics:
        own += [make() for make in DIAGNOSTICS if not has(given, make)]
    if settings.pictures:
        own.append(Gallery([make(folder / "pictures") for make in EVERY_RUN if not has(given, make)]))
    if settings.trainer.enable_checkpointing is not False and not settings.trainer.fast_dev_run:
        own += savers(settings, folder)
    return own


def savers(settings: Namespace, folder: Path) -> list[Callback]:
    """What writes checkpoints, and what sees to it that they can be written."""
    mode = settings.monitor_mode or best_mode(settings.monitor)
    return [
        MonitorCheck(settings.monitor, folder),
        BestCheckpoint(settings.monitor, mode, dirpath=folder / "checkpoints"),
        LastCheckpoint(folder / "checkpoints", every_n_steps=settings.save_every_n_steps),
        StopOnSignal(folder),
    ]


def loggers_of(folder: Path, purge_step: int | None = None) -> list[Logger]:
    """TensorBoard, and metrics.csv; a run that goes on hides what it logged from `purge_step` on."""
    board = BufferedTensorBoardLogger(
        folder.parent.parent,
        name=folder.parent.name,
        version=folder.name,
        default_hp_metric=False,
        purge_step=purge_step,
    )
    return [board, MetricsCSV(folder, purge_step)]


def has(given: list[Callback], kind: type) -> bool:
    """Whether one of them is of that class."""
    return any(isinstance(each, kind) for each in given)


def as_list(given: Any) -> list[Any]:
    """What the Trainer takes as nothing, as one object or as several."""
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def best_mode(metric: str) -> Literal["min", "max"]:
    """Whether the smallest or the largest value of a metric is the best."""
    return "min" if metric.rpartition("/")[2] in ("loss", "mse", "mae", "error") else "max"


class AfterFirstStep(Callback):
    """Calls a function once a step has been trained."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def on_train_batch_end(self, *args: Any) -> None:
        if self.call is not None:
            self.call()
            self.call = None
