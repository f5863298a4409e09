"""What every run has besides its model and data: callbacks, loggers and plugins, unless the config has its own."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter, Callback, ModelSummary, ProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins import CheckpointIO
from pytorch_lightning.plugins.environments import (
    ClusterEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from callbacks import ActivationMonitor, Checkup, Diagnosis, GradientMonitor, NonFiniteGuard
from callbacks.diagnostics.histograms import Histograms
from callbacks.diagnostics.learning_rate import LearningRate
from callbacks.inside import Distributions, LayerTable, WeightTable
from callbacks.model_graph import ModelGraph
from callbacks.pictures.gallery import Gallery
from callbacks.pictures.kinds import EVERY_RUN
from callbacks.predictions import PredictionWriter
from callbacks.progress import Progress
from callbacks.summary import LayerSummary
from cli.monitor_checks import MonitorCheck
from cli.recording import evaluates_as_trained, evaluation_result
from cli.resume_checks import check_callbacks
from pages.live import LivePage
from runtime.checkpoint import BestCheckpoint, LastCheckpoint
from runtime.checkpoint_io import AtomicIO
from runtime.direction import mode_of
from runtime.graph.loop import use_graph_loop
from runtime.loggers import MetricsCSV
from runtime.loop import use_lean_loop
from runtime.own_loggers import RunTrainer, keep_files
from runtime.phases import PhaseTimer
from runtime.restored import RestoredState
from runtime.result_file import BestResult
from runtime.resume import ExactResume, first_step_to_log
from runtime.sharding import ContiguousWeights
from runtime.stop import StopOnSignal
from runtime.synchronized import advise_where_true
from runtime.tensorboard import BufferedTensorBoardLogger, EvaluationLogger
from runtime.training_loaders import prepare_loaders

if TYPE_CHECKING:
    from cli.build import Run

DIAGNOSTICS = (GradientMonitor, ActivationMonitor, NonFiniteGuard, Diagnosis)


def callbacks_of(run: "Run", given: list[Callback]) -> list[Callback]:
    """The callbacks of a command.

    Args:
        run: the command with its settings, model and folder.
        given: callbacks of the config; no second one of the same class is added.
    """
    command, settings, folder = run.request.command, run.settings, run.folder
    own: list[Callback] = []
    if settings.trainer.enable_progress_bar is not False and not has(given, ProgressBar):
        own.append(Progress())
    if command == "predict" and not has(given, BasePredictionWriter):
        own.append(PredictionWriter(folder))
    if command in ("validate", "test") and evaluates_as_trained(run):
        own.append(evaluation_result(run))
    if command != "fit":
        return own
    own += [PhaseTimer(), ContiguousWeights()]
    if settings.trainer.enable_model_summary is not False and not has(given, ModelSummary):
        own.append(LayerSummary())
    if settings.checkup and not has(given, Checkup):
        own.append(Checkup())
    if settings.diagnostics:
        own += [make() for make in DIAGNOSTICS if not has(given, make)]
        own += [make(folder / "inside") for make in (LayerTable, WeightTable) if not has(given, make)]
    if not has(given, LearningRate):
        own.append(LearningRate())
    if settings.histograms and not has(given, Histograms):
        own.append(Histograms())
    if settings.pictures:
        pictures = [make(folder / "pictures") for make in EVERY_RUN if not has(given, make)]
        own.append(Gallery([*pictures, Distributions(folder / "inside")]))
    if settings.page:
        own.append(LivePage(folder))
    if settings.trainer.enable_checkpointing is not False and not settings.trainer.fast_dev_run:
        own += savers(settings, run.model, folder)
    return own


def savers(settings: Namespace, model: LightningModule, folder: Path) -> list[Callback]:
    """The callbacks that write checkpoints, and those that make sure that checkpoints can be written."""
    return [
        MonitorCheck(settings.monitor, folder),
        BestCheckpoint(settings.monitor, mode_of(settings, model), settings, dirpath=folder / "checkpoints"),
        LastCheckpoint(folder / "checkpoints", every_n_steps=settings.save_every_n_steps),
        BestResult(folder),
        StopOnSignal(folder),
    ]


def loggers_of(run: "Run") -> list[Logger]:
    """TensorBoard and metrics.csv in the run's folder; none for predictions.

    A run resumed from a checkpoint hides what it logged after that.
    """
    command, folder, checkpoint = run.request.command, run.folder, run.checkpoint
    place: dict[str, Any] = {
        "save_dir": folder.parent.parent,
        "name": folder.parent.name,
        "version": folder.name,
        "default_hp_metric": False,
    }
    if command == "predict":
        return []
    if command != "fit":
        step = max(first_step_to_log(checkpoint) - 1, 0) if checkpoint else 0
        own = "validate" if command == "validate" else ""
        return [EvaluationLogger(**place, folder=own, step=step), MetricsCSV(folder, step=step)]
    purge_step = first_step_to_log(checkpoint) if run.resumed and checkpoint else None
    return [BufferedTensorBoardLogger(**place, purge_step=purge_step), MetricsCSV(folder, purge_step)]


def plugins_of(given: Any) -> list[Any]:
    """The config's plugins; if it has none of that kind, also ours for whole checkpoints and for SLURM.

    Lightning's own SLURM plugin saves inside a signal handler, and resumes from any `hpc_ckpt` it finds.
    """
    plugins = [each for each in (given if isinstance(given, list) else [given]) if each is not None]
    if not any(isinstance(each, CheckpointIO) for each in plugins):
        plugins.append(AtomicIO())
    chosen = any(isinstance(each, ClusterEnvironment) for each in plugins) or TorchElasticEnvironment.detect()
    if not chosen and SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return plugins


def choose_loop(settings: Namespace, trainer: Trainer) -> None:
    """The loop over the batches of an epoch."""
    use_graph_loop(trainer) if settings.graph else use_lean_loop(trainer)


def has(given: list[Callback], kind: type) -> bool:
    """Whether one of the callbacks is of that class."""
    return any(isinstance(each, kind) for each in given)


def prepare(run: "Run", trainer: RunTrainer) -> None:
    """Let a Trainer train as a run does: lean, resumable, and with its files in the run's folder."""
    prepare_loaders(run.datamodule or run.model, trainer)
    if run.request.command != "fit":
        advise_where_true(trainer)
        return
    choose_loop(run.settings, trainer)
    advise_where_true(trainer)
    if run.checkpoint is not None:
        check_callbacks(trainer.callbacks, run.changed, run.checkpoint, run.settings.ckpt_path)
    graph = [] if run.resumed else [ModelGraph()]  # a resumed run has it
    trainer.callbacks[:0] = [RestoredState(run.changed, run.settings.ckpt_path), ExactResume(), *graph]
    keep_files(trainer, run.folder, run.purge_step)


def as_list(given: Any) -> list[Any]:
    """The value as a list; the Trainer accepts nothing, one object or several."""
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


class AfterFirstStep(Callback):
    """Calls a function after the first trained step."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def on_train_batch_end(self, *args: Any) -> None:
        if self.call is not None:
            self.call()
            self.call = None
