"""One run of a sweep, from its words to its score: an ordinary `fit` in an ordinary run folder, but silent."""

import contextlib
import io
import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import Trial
from pytorch_lightning import Callback, LightningModule, Trainer

from cli.build import LightningInside
from cli.checks import check_learning_rate
from cli.defaults import best_mode
from cli.request import Request, prepare
from runtime.checkpoint import BestCheckpoint
from runtime.errors import UsageError
from runtime.signals import Interrupted
from runtime.stop import StopOnSignal
from runtime.tables import number
from sweeps.plan import Plan
from sweeps.study import Queue, Run

# In front of the user's words, which may say otherwise.
DEFAULTS = [
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.devices=1",
    "--pictures=false",
]


class TrialCLI(LightningInside):
    """`fit` as part of a sweep.

    Args:
        words: after `fit`.
        begun: folder of a run to go on with.
        callbacks: added to those of every run.
        on_folder: told the run's folder before training begins.
    """

    def __init__(
        self,
        words: list[str],
        begun: Path | None = None,
        callbacks: tuple[Callback, ...] = (),
        on_folder: Callable[[str], None] = lambda folder: None,
    ) -> None:
        self.added_callbacks = callbacks
        self.on_folder = on_folder
        super().__init__(Request("fit", ["fit", *DEFAULTS, *words], run_folder=begun))

    def _own_callbacks(self, given: list[Callback]) -> list[Callback]:
        return [*super()._own_callbacks(given), *self.added_callbacks]

    def before_fit(self) -> None:
        super().before_fit()
        self.on_folder(str(self.folder))

    def _end_if_finished(self, checkpoint: dict[str, Any]) -> None:
        """A run whose process was killed before it could tell the study keeps its files as they are."""
        try:
            super()._end_if_finished(checkpoint)
        except SystemExit:
            raise FinishedError(checkpoint) from None

    def after_fit(self) -> None:
        """The sweep has a table of its own; a signal that came too late for the run still ends the process."""
        for callback in self.trainer.callbacks:
            if isinstance(callback, StopOnSignal) and callback.signum is not None:
                raise Interrupted(callback.signum, self.folder)


class FinishedError(Exception):
    """There is nothing left to train; `best_metrics` are those of the checkpoint."""

    def __init__(self, checkpoint: dict[str, Any]) -> None:
        super().__init__("the run is finished")
        states = [state for state in checkpoint["callbacks"].values() if "best_metrics" in state]
        self.best_metrics: dict[str, float] = states[0]["best_metrics"] if states else {}


class Rehearsal(TrialCLI):
    """The first run, for one batch of each kind and without a trace: finds out what is wrong before the sweep."""

    def __init__(self, words: list[str]) -> None:
        super().__init__([*words, "--trainer.fast_dev_run=1"])

    def before_fit(self) -> None:
        if self.trainer.world_size > 1:
            raise UsageError(
                f"a run of a sweep is one process, not {self.trainer.world_size}; give --trainer.devices 1, and start "
                "the same command several times: the processes share the sweep"
            )


class Pruner(Callback):
    """Reports each epoch's metric and stops a run that does worse than the others; its files stay whole."""

    def __init__(self, trial: Trial, monitor: str) -> None:
        self.trial = trial
        self.monitor = monitor
        self.pruned = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = float(trainer.callback_metrics.get(self.monitor, math.nan))
        if math.isnan(value):
            return
        self.trial.report(value, trainer.current_epoch)
        if self.trial.should_prune():
            trainer.should_stop = self.pruned = True


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep what a run prints away from the sweep's own lines: each would say the same again."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def rehearse(plan: Plan) -> tuple[LightningInside, Plan]:
    """Check every value and train one batch; the rehearsed run, and the plan with the metric that is compared.

    Raises:
        UsageError: for a flag or value that fit does not know, or a metric that is never logged.
    """
    with silence():
        first = plan.first_setting()
        cli = Rehearsal(plan.fit_words(first, plan.seeds[0]))
        for axis in plan.axes:
            for value in axis.examples():
                words = plan.fit_words({**first, axis.flag: value}, plan.seeds[0])
                check_learning_rate(cli._parser("fit").parse_args(words).model, words)
    monitor = cli.settings.monitor
    if monitor not in cli.trainer.callback_metrics:
        known = ", ".join(sorted(cli.trainer.callback_metrics)) or "nothing"
        raise UsageError(f"--monitor {monitor} is never logged; a run logs {known}")
    return cli, plan.with_metric(monitor, cli.settings.monitor_mode or best_mode(monitor))


def train(plan: Plan, queue: Queue, run: Run) -> str:
    """Train one run and tell the study how it ended; the same in words.

    Raises:
        BaseException: where the user or the system stops the process; the run goes on with the sweep's next start.
    """
    pruner = Pruner(run.trial, plan.monitor)
    started = time.perf_counter()
    try:
        with silence():
            cli = TrialCLI(
                *run_words(plan, run),
                callbacks=(pruner,) if plan.options.prune else (),
                on_folder=lambda folder: run.trial.set_user_attr("folder", folder),
            )
        metrics, folder = best_metrics(cli), cli.folder
    except FinishedError as end:
        metrics, folder = end.best_metrics, run.begun or plan.folder
    except Exception as error:
        reason = in_words(error)
        queue.fail(run, reason, seconds=round(time.perf_counter() - started, 2))
        return f"failed: {reason}"
    score = metrics.get(plan.monitor, math.nan)
    seconds = round(time.perf_counter() - started, 2)
    found = {"metrics": metrics, "seconds": seconds, **look_inside(folder)}
    told = f"{plan.monitor} {number(score)} in {seconds:.0f} s"
    if pruner.pruned:
        queue.prune(run, **found)
        return f"pruned with {told}"
    if not math.isfinite(score):
        queue.fail(run, f"{plan.monitor} is {score}", **found)
        return f"failed: {plan.monitor} is {score}"
    queue.complete(run, score, **found)
    return told


def in_words(error: Exception) -> str:
    """One line for the tables."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def run_words(plan: Plan, run: Run) -> tuple[list[str], Path | None]:
    """The words of a run, and its folder where it was interrupted after a checkpoint."""
    if run.begun is not None and any(run.begun.glob("checkpoints/*.ckpt")):
        return prepare(["fit", "--resume", str(run.begun)]).args[1:], run.begun
    return [*plan.fit_words(run.setting, run.seed), f"--run_name={plan.name}"], None


def best_metrics(cli: LightningInside) -> dict[str, float]:
    """What was measured with the state that best.ckpt holds; without checkpoints, with the last."""
    for callback in cli.trainer.callbacks:
        if isinstance(callback, BestCheckpoint):
            return callback.best_metrics
    return {name: float(value) for name, value in cli.trainer.callback_metrics.items()}


def look_inside(folder: Path) -> dict[str, Any]:
    """What the diagnostic callbacks saw: the findings, and how the gradient fares on its way to the first layer."""
    seen: dict[str, Any] = {}
    if (path := folder / "diagnosis.json").exists():
        verdicts = json.loads(path.read_text(encoding="utf-8"))["verdicts"]
        seen["diagnosis"] = ", ".join(dict.fromkeys(verdict["kind"] for verdict in verdicts)) or "healthy"
    if (path := folder / "metrics.csv").exists():
        ratio = gradient_ratio(pd.read_csv(path))
        if ratio is not None:
            seen["gradient_ratio"] = ratio
    return seen


def gradient_ratio(metrics: pd.DataFrame) -> float | None:
    """Norm of the loss gradient at the first layer's output over that at the last's: median over the run.

    None where it was not measured; 0 where it vanishes below what can be told from 0.
    """
    deltas = metrics[sorted(name for name in metrics.columns if name.startswith("delta_norm/"))].dropna()
    if deltas.shape[1] < 2 or deltas.empty:
        return None
    ratio = float((deltas.iloc[:, 0] / deltas.iloc[:, -1]).median())
    return ratio if math.isfinite(ratio) else None
