"""Loggers of the user's config come in addition to those of every run, and keep what they wrote before a resume."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only, rank_zero_warn

from callbacks.files import write_whole
from runtime.errors import UsageError
from runtime.loggers import BufferedLogger, MetricsCSV
from runtime.run_folder import OTHER_RANK
from runtime.tensorboard import BufferedTensorBoardLogger


class RunTrainer(Trainer):
    """Names the run's folder as the place for files, whatever its first logger is.

    `trainer.logger` stays the user's: their model may call its methods.
    """

    run_folder: Path | None = None

    @property
    def log_dir(self) -> str | None:
        return super().log_dir if self.run_folder is None else str(self.run_folder)

    @property
    def default_root_dir(self) -> str:
        given = super().default_root_dir
        return str(self.run_folder) if self.run_folder and Path(given).name == OTHER_RANK else given


class SameFolder(Callback):
    """Gives all processes the folder that the first one chose. It comes first: callbacks may write there from `setup` on.

    Args:
        run_trainer: that of the run.
    """

    def __init__(self, run_trainer: RunTrainer) -> None:
        self.run_trainer = run_trainer

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.run_trainer.run_folder = folder = trainer.strategy.broadcast(self.run_trainer.run_folder)
        for logger in trainer.loggers if trainer.global_rank else ():
            if isinstance(logger, MetricsCSV):
                logger.path = folder / logger.path.name
            elif isinstance(logger, BufferedTensorBoardLogger):
                logger.run_version = folder.name


def all_loggers(given: Any, own: Callable[[], list[Logger]], folder: Path) -> list[Logger] | bool:
    """The loggers of the config, then those of every run; False if the config wants none.

    Raises:
        UsageError: for a second metrics.csv in the run's folder.
    """
    if given is False:
        return False
    loggers = given if isinstance(given, list) else [given]
    loggers = [each for each in loggers if isinstance(each, Logger)]
    for logger in loggers:
        if isinstance(logger, CSVLogger) and Path(logger.log_dir).resolve() == folder.resolve():
            raise UsageError(
                f"trainer.logger: CSVLogger would write {folder / 'metrics.csv'}, which every run has; leave it out, or "
                "give it another place"
            )
    return [*loggers, *own()]


def keep_files(trainer: RunTrainer, folder: Path, purge_step: int | None) -> None:
    """Let a run's files go into its folder, and let a resumed run keep its rows.

    Args:
        trainer: of a training.
        folder: of the run.
        purge_step: step from which a resumed run logs anew; None for a new run.
    """
    if trainer.loggers and not trainer.fast_dev_run:
        trainer.run_folder = folder
        if trainer.world_size > 1:
            trainer.callbacks.insert(0, SameFolder(trainer))
    if purge_step is not None:
        keep_all_rows(trainer, math.inf)  # a run that fails before it trains loses none
        trainer.callbacks.append(KeepRows(purge_step))


class KeepRows(Callback):
    """Removes what a resumed run logs again from the tables of its CSVLoggers, and hides it in TensorBoard.

    Of other loggers from elsewhere it warns, as nothing that they were given can be taken back.

    Args:
        purge_step: step at which the resumed run starts; rows from this step on are logged again.
    """

    def __init__(self, purge_step: int) -> None:
        self.purge_step = purge_step

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        keep_all_rows(trainer, self.purge_step)
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if isinstance(logger, TensorBoardLogger) and not isinstance(logger, BufferedLogger):
                hide_events(logger, self.purge_step)
            elif not isinstance(logger, CSVLogger | BufferedLogger):
                rank_zero_warn(
                    f"{type(logger).__name__} keeps what it was given after the checkpoint: if it continues the same "
                    f"record, steps from {self.purge_step} on are in it twice"
                )


def hide_events(logger: TensorBoardLogger, since: int) -> None:
    """Make TensorBoard hide the events of earlier files from step `since` on.

    `SummaryWriter(purge_step=since)` would write the same, but the user's logger may have made its writer already.
    """
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    start = Event(step=since, session_log=SessionLog(status=SessionLog.START))
    logger.experiment.file_writer.add_event(start)


@rank_zero_only
def keep_all_rows(trainer: Trainer, before: float) -> None:
    """Call `keep_rows` for each CSVLogger, on rank zero."""
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            keep_rows(logger, before)


def keep_rows(logger: CSVLogger, before: float) -> None:
    """Let a CSVLogger append to the rows of its table whose step is smaller than `before`."""
    table = MetricsCSV(Path(logger.log_dir))
    if not table.path.exists():
        return
    rows = table.path.read_bytes()
    writer = logger.experiment  # the first time, this removes the file
    write_whole(table.path, rows)
    writer.metrics_keys = table.keep(before)
