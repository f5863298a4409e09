"""The metrics that a run waits for: they must be logged, and followed in the right direction."""

import difflib
import inspect
from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.utilities.model_helpers import is_overridden
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from lit_models.base import LitModel
from lit_models.task import Task
from runtime.commands import train_py
from runtime.direction import direction, nearest
from runtime.errors import UsageError, did_you_mean
from runtime.metric_schedules import check_validated, followers
from runtime.private import logged_now

VALIDATION = ("validation_step", "on_validation_epoch_end")
SILENT = (
    "callbacks",
    "runtime",
    "sweeps",
    "pages",
    "cli",
    "pytorch_lightning",
)  # packages whose callbacks log no metric
TRAINING = ("training_step", "on_train_epoch_end")


def check_logged(
    metric: str, model: LightningModule, callbacks: Sequence[Callback], option: str = "--monitor"
) -> None:
    """Refuse to wait for a metric that this model never logs in validation.

    A model with its own validation may log any name. Another class or a callback from elsewhere may log any that is not
    like one of the model's.
    """
    if not isinstance(model, LitModel) or overrides(model, VALIDATION):
        return
    known = [f"val/{name}" for name in model.val_metrics if name != "mae_by_output"]  # which is val/mae/NAME
    if type(model.task).terms is not Task.terms:  # logged by names that only a batch shows
        return
    of_a_class = any(metric.startswith(f"{name}/") for name in known)
    if metric in known or of_a_class or (overrides(model, TRAINING) and not metric.startswith("val/")):
        return
    short = [name.removeprefix("val/") for name in known]
    is_slip = difflib.get_close_matches(metric, [*known, *short], n=1, cutoff=0.7)
    is_known = not logs_itself(model) and not any(map(may_log, callbacks))
    if metric == "train/loss":
        return
    if is_known or metric.startswith("val/") or (is_slip and not metric.startswith("train/")):
        raise UsageError(f"{option} {metric} is not measured; {did_you_mean(metric, known)}")


def overrides(model: LightningModule, hooks: tuple[str, ...]) -> bool:
    """Whether the model has one of the hooks in its own form."""
    return any(is_overridden(hook, model, LitModel) for hook in hooks)


def logs_itself(model: LightningModule) -> bool:
    """Whether a model may log more than `LitModel` does: its code calls `log` or `log_dict`, or comes from elsewhere."""
    own = [cls for cls in type(model).__mro__ if not issubclass(LitModel, cls)]
    functions = [
        inspect.unwrap(each) for cls in own for each in vars(cls).values() if inspect.isfunction(each)
    ]
    return any(root_package(cls) != root_package(LitModel) for cls in own) or any(
        {"log", "log_dict"} & set(function.__code__.co_names) for function in functions
    )


def may_log(callback: Callback) -> bool:
    """Whether a callback may log a metric: one from elsewhere, and the one of Lightning's that logs learning rates."""
    return isinstance(callback, LearningRateMonitor) or root_package(type(callback)) not in SILENT


def root_package(cls: type) -> str:
    """The name of the package that a class comes from."""
    return cls.__module__.partition(".")[0]


class MonitorCheck(Callback):
    """Reports after the first epoch with a validation that the monitored metric was not logged, and saves the epoch.

    Only then is it known what a model logs. Lightning's own error comes before anything is saved. At the start it
    warns of callbacks and schedules that wait for a metric to get worse.

    Args:
        monitor: the metric that decides which epoch is best.
        folder: of the run.
    """

    def __init__(self, monitor: str, folder: Path) -> None:
        self.monitor = monitor
        self.folder = folder
        self.measured: list[str] = []  # what the last validation logged

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Collect the metrics that other callbacks wait for, such as EarlyStopping."""
        for callback in trainer.callbacks:
            name = type(callback).__name__
            if isinstance(metric := getattr(callback, "monitor", None), str):
                check_logged(metric, pl_module, trainer.callbacks, f"{name}: monitor")
                warn_of_direction(name, metric, getattr(callback, "mode", None), pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        check_validated(trainer)
        for config in followers(trainer):
            name, mode = type(config.scheduler).__name__, getattr(config.scheduler, "mode", None)
            check_logged(config.monitor, pl_module, f"{name}: monitor")
            warn_of_direction(name, config.monitor, mode, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.measured = sorted(logged_now(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        logged = trainer.callback_metrics
        if not self.measured or self.monitor in logged:
            return
        trainer.save_checkpoint(self.folder / "checkpoints" / "last.ckpt", weights_only=False)
        raise UsageError(
            f"--monitor {self.monitor} is not logged; {nearest(self.monitor, self.measured, [*logged])}\n"
            f"the epoch is saved; resume with: {train_py('fit', '--resume', self.folder, '--monitor', '...')}"
        )


def warn_of_direction(owner: str, metric: str, mode: object, model: LightningModule) -> None:
    """Say that an object waits for the largest loss or the smallest accuracy; "min" is often only a default."""
    best = direction(metric, model)
    if best is not None and mode in ("min", "max") and mode != best:
        rank_zero_warn(
            f"{owner} follows {metric} with mode {mode}, but its best value is the {best}imum; set its mode"
        )
