"""One run of a sweep, from its words to its score: an ordinary `fit` in an ordinary run folder, without output."""

import contextlib
import io
import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from optuna.trial import Trial
from pytorch_lightning import Callback, LightningModule, Trainer

from runtime.checkpoint import BestCheckpoint
from runtime.direction import mode_of
from runtime.end_record import End
from runtime.errors import UsageError
from runtime.tables import number
from sweeps.plan import Plan
from sweeps.study import Queue, Run


class Fit(Protocol):
    """What a sweep needs from a run; `cli/build.py` makes it."""

    settings: Any
    parser: Any
    model: Any
    datamodule: Any
    trainer: Any
    folder: Path
    lock: Any
    checkpoint: dict[str, Any] | None
    end: End | None
    is_finished: bool

    def check_words(self, words: Sequence[str]) -> None: ...
    def fit(self) -> None: ...
    def claim_folder(self) -> None: ...
    def save_config(self) -> None: ...
    def new_loggers(self) -> list[Any]: ...


Build = Callable[..., Fit]  # takes the words after `fit`; the rest as in `cli.sweep.build_trial`


class Pruner(Callback):
    """Reports each epoch's metric and stops a run that does worse than the others; its files stay complete."""

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

    def why_stopped(self) -> str | None:
        """For the record of the run's end, which outlives this process."""
        return "it did worse than the other runs of its sweep" if self.pruned else None


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Hide what a run prints, because the sweep's own lines say the same."""
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


def rehearse(plan: Plan, build: Build) -> tuple[Fit, Plan]:
    """Train one batch of the first run without leaving files, and check every value of the other runs.

    Returns:
        The rehearsed run, and the plan with the metric to compare.

    Raises:
        UsageError: for a flag or value that fit does not accept, or a metric that is never logged.
    """
    with silence():
        first = plan.first_setting()
        run = build([*plan.fit_words(first, plan.seeds[0]), "--trainer.fast_dev_run=1"])
        if run.trainer.world_size > 1:
            raise UsageError(
                f"a run of a sweep is one process, not {run.trainer.world_size}; give --trainer.devices 1, and start "
                "the same command several times: the processes share the sweep"
            )
        run.fit()
        for axis in plan.all_axes():
            for value in axis.examples():
                run.check_words(plan.fit_words({**first, axis.flag: value}, plan.seeds[0]))
    monitor = run.settings.monitor
    if monitor not in run.trainer.callback_metrics:
        known = ", ".join(sorted(run.trainer.callback_metrics)) or "nothing"
        raise UsageError(f"--monitor {monitor} is never logged; a run logs {known}")
    return run, plan.with_metric(monitor, mode_of(run.settings, run.model))


def train(plan: Plan, queue: Queue, build: Build, run: Run) -> str:
    """Train one run and report to the study how it ended; returns the outcome in words.

    Raises:
        BaseException: if the user or the system stops the process; the sweep's next start resumes the run.
    """
    pruner = Pruner(run.trial, plan.monitor)
    started = time.perf_counter()
    try:
        with silence():
            fit = build_run(plan, run, build, (pruner,) if plan.options.prune else ())
            run.trial.set_user_attr("folder", str(fit.folder))
            if not fit.is_finished:  # finished if its process was killed before it could report to the study
                fit.fit()
        metrics, folder = best_metrics(fit), fit.folder
    except Exception as error:
        reason = in_words(error)
        queue.fail(run, reason, seconds=round(time.perf_counter() - started, 2))
        return f"failed: {reason}"
    score = metrics.get(plan.monitor, math.nan)
    seconds = round(time.perf_counter() - started, 2)
    found = {"metrics": metrics, "seconds": seconds, **what_diagnostics_found(folder)}
    summary = f"{plan.monitor} {number(score)} in {seconds:.0f} s"
    if fit.end is not None and fit.end.reason == Pruner.__name__:
        queue.prune(run, **found)
        return f"pruned with {summary}"
    if not math.isfinite(score):
        queue.fail(run, f"{plan.monitor} is {score}", **found)
        return f"failed: {plan.monitor} is {score}"
    queue.complete(run, score, **found)
    return summary


def in_words(error: Exception) -> str:
    """An error in one line, for the tables."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def build_run(plan: Plan, run: Run, build: Build, callbacks: Sequence[Callback]) -> Fit:
    """A new run, or the same one if it was interrupted after a checkpoint."""
    if run.begun is not None and any(run.begun.glob("checkpoints/*.ckpt")):
        return build([], resume=run.begun, callbacks=callbacks)
    return build([*plan.fit_words(run.setting, run.seed), f"--run_name={plan.name}"], callbacks=callbacks)


def best_metrics(fit: Fit) -> dict[str, float]:
    """The metrics of the state in best.ckpt; without checkpoints, the last metrics."""
    if fit.is_finished and fit.checkpoint is not None:
        states = [state for state in fit.checkpoint["callbacks"].values() if "best_metrics" in state]
        return states[0]["best_metrics"] if states else {}
    for callback in fit.trainer.callbacks:
        if isinstance(callback, BestCheckpoint):
            return callback.best_metrics
    return {name: float(value) for name, value in fit.trainer.callback_metrics.items()}


def what_diagnostics_found(folder: Path) -> dict[str, Any]:
    """The findings of the diagnostic callbacks, and how much of the gradient reaches the first layer."""
    seen: dict[str, Any] = {}
    if (path := folder / "diagnosis.json").exists():
        verdicts = json.loads(path.read_text(encoding="utf-8"))["verdicts"]
        problems = [each["kind"] for each in verdicts if each.get("severity") != "info"]
        seen["diagnosis"] = ", ".join(dict.fromkeys(problems)) or "healthy"
    if (path := folder / "metrics.csv").exists():
        ratio = gradient_ratio(pd.read_csv(path))
        if ratio is not None:
            seen["gradient_ratio"] = ratio
    return seen


def gradient_ratio(metrics: pd.DataFrame) -> float | None:
    """Norm of the loss gradient at the first layer's output over that at the last layer's: median over the run.

    None if it was not measured; 0 if it cannot be distinguished from 0.
    """
    deltas = metrics[sorted(name for name in metrics.columns if name.startswith("delta_norm/"))].dropna()
    if deltas.shape[1] < 2 or deltas.empty:
        return None
    ratio = float((deltas.iloc[:, 0] / deltas.iloc[:, -1]).median())
    return ratio if math.isfinite(ratio) else None
