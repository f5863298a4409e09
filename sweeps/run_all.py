"""Train the waiting runs, and report the results."""

import json
import math
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from callbacks.files import replacing, write_whole
from runtime.commands import tensorboard, train_py
from runtime.tables import number, print_table
from sweeps.bulk import FREE, MAX_RUNS, bundles, could_join, train_together
from sweeps.pictures import draw_all
from sweeps.plan import Plan
from sweeps.space import key, rest
from sweeps.study import Queue, Run
from sweeps.summary import (
    comparison,
    lines,
    metrics_in,
    runs_table,
    setting_in,
    settings_table,
    shared_rows,
    short,
    standard_error,
    with_deviations,
    write_hparams,
)
from sweeps.trials import Build, train

SUMMARY = "sweep.json"


def train_all(plan: Plan, queue: Queue, build: Build, reason: str | None) -> None:
    """Take run after run until none is left or the time is up.

    Args:
        build: makes a run from its words.
        reason: why runs cannot train together; None if they can.
    """
    deadline = time.monotonic() + 60 * (plan.options.minutes or math.inf)
    wanted = plan.options.bulk and could_join(plan)
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        display = Display(plan, queue, bar)
        if wanted and reason:
            display.say_once(f"runs train one after the other: {reason}")
        elif wanted:
            display.say("small networks train together, without diagnostics (for these: --sweep.bulk false)")
        while time.monotonic() < deadline and (run := queue.next()) is not None:
            runs = [run]
            while wanted and not reason and len(runs) < MAX_RUNS and (run := queue.next()) is not None:
                runs.append(run)
            for bundle in bundles(runs):
                train_bundle(plan, queue, build, bundle, display, deadline)


def train_bundle(
    plan: Plan, queue: Queue, build: Build, runs: list[Run], display: "Display", deadline: float
) -> None:
    """Train runs together, or one after the other if that is impossible."""
    if len(runs) > 1:
        reason = train_together(plan, queue, build, runs, lambda share: display.show(share * len(runs)))
        display.show()
        if reason is None:
            display.say(f"{rest(runs[0].setting, FREE)} {len(runs)} runs trained together".lstrip())
            return
        display.say_once(f"runs train one after the other: {reason}")
    for run in runs:
        if time.monotonic() >= deadline and len(runs) > 1:
            run.lock.release()  # the sweep's next start finds the run without a process
            continue
        display.say(f"{key(run.setting)} --seed_everything={run.seed}: {train(plan, queue, build, run)}")
        display.show()


class Display:
    """The progress bar over all runs of the study, including those of other processes."""

    def __init__(self, plan: Plan, queue: Queue, bar: Progress) -> None:
        self.plan = plan
        self.queue = queue
        self.bar = bar
        self.task = bar.add_task("runs", total=None)
        self._said: set[str] = set()
        self.show()

    def show(self, running: float = 0.0) -> None:
        """Redraw; `running` counts unfinished runs of this process, in shares."""
        trials = self.queue.trials()
        ended = sum(trial.state.is_finished() for trial in trials)
        self.bar.update(self.task, total=max(len(trials), self.plan.num_runs), completed=int(ended + running))

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def say_once(self, text: str) -> None:
        """Print a line unless it was printed before."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)


def report(plan: Plan, queue: Queue, command: Sequence[str] = ()) -> pd.DataFrame:
    """Write table, comparison, best setting and pictures; returns the table of runs.

    Args:
        command: the words after `train.py`, as they were typed.

    Every process that ends writes all of it again, one after the other. The last one knows all runs, and its files stay.
    """
    with FileLock(plan.folder / "report.lock"):
        runs = runs_table(queue.trials(), [axis.flag for axis in plan.replicated])
        write_report(plan, runs, command)
    return runs


def write_report(plan: Plan, runs: pd.DataFrame, command: Sequence[str]) -> None:
    """Write the report on the runs so far."""
    settings = settings_table(plan, runs)
    for name, table in {"runs.csv": runs, "settings.csv": settings}.items():
        with replacing(plan.folder / name) as temporary:
            table.drop(columns="setting").to_csv(temporary, index=False)
    counts = ", ".join(f"{count} {state}" for state, count in runs["state"].value_counts().items())
    print(f"\n{plan.name}: {plan.monitor} of {len(settings)} settings; runs: {counts}")
    if (runs["state"] == "running").any():
        print("  Other processes are still training; the last one to end has the whole table.")
    print("\n".join(f"  {line}" for line in lines(plan, settings)))
    for error in runs["error"].dropna().unique()[:3] if "error" in runs else []:
        print(f"  failed: {error}")
    write_summary(plan, runs, settings, command)
    if not settings["runs"].any():
        return
    if not plan.axes:
        report_mean(plan, settings)
        return
    write_hparams(plan, settings, plan.folder / "settings")
    pictures = draw_all(plan, runs, settings, plan.folder / "pictures")
    print(f"\n{comparison(plan, runs, settings)}")
    best = setting_in(plan, settings.iloc[0])
    rows = {
        "best": " ".join(f"{flag}={short(value)}" for flag, value in best.items()),
        plan.monitor: number(settings["mean"].iloc[0]),
        "train it": train_py("fit", *plan.fit_words(best, plan.seeds[0])),
        "tables": f"{plan.folder / 'settings.csv'}, {plan.folder / 'runs.csv'}",
        "pictures": f"{pictures[0].parent} ({', '.join(path.stem for path in pictures)})",
        "look inside": tensorboard(plan.folder),
    }
    print_table("best setting", rows)


def write_summary(plan: Plan, runs: pd.DataFrame, settings: pd.DataFrame, command: Sequence[str]) -> None:
    """Write `sweep.json`: what the tables do not say, for the page of the sweep."""
    about: dict[str, Any] = {
        "name": plan.name,
        "command": list(command),
        "monitor": plan.monitor,
        "mode": plan.mode,
    }
    about |= {"flags": [axis.flag for axis in plan.axes], "seeds": plan.seeds}
    about |= {"replicated": [axis.flag for axis in plan.replicated]}
    if settings["runs"].iloc[0] > 1:
        about |= {"standard_error": standard_error(plan, settings)}
    if plan.axes and settings["runs"].any():  # of replicates of one setting none is the best
        best = setting_in(plan, settings.iloc[0])
        about |= {"best": {flag: short(value) for flag, value in best.items()}}
        about |= {"train": ["fit", *plan.fit_words(best, plan.seeds[0])]}
        about |= {"sentence": comparison(plan, runs, settings)}
    write_whole(plan.folder / SUMMARY, json.dumps(about, indent=1, default=str) + "\n")


def report_mean(plan: Plan, settings: pd.DataFrame) -> None:
    """The mean over all runs, where they are replicates of one setting."""
    count = settings["runs"].iloc[0]
    rows = {plan.monitor: with_deviations(settings, "mean", "deviation")[0]}
    if count > 1:
        why = "; folds share training rows, so it is larger than that of independent runs" * bool(
            shared_rows(plan)
        )
        rows["standard error"] = f"{number(standard_error(plan, settings))} of the mean{why}"
    for name in metrics_in(settings):
        rows[name] = with_deviations(settings, f"mean {name}", f"deviation {name}")[0]
    rows |= {"runs": str(plan.folder / "runs.csv"), "look inside": tensorboard(plan.folder)}
    print_table(f"mean and deviation over {count} runs", rows)
