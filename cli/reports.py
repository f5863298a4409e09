"""What a command prints at its end."""

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytorch_lightning.utilities.rank_zero import rank_zero_only

from callbacks.pictures.base import pictures_of
from callbacks.predictions import PredictionWriter
from cli.page_at_end import page_of
from runtime.checkpoint import BestCheckpoint
from runtime.commands import tensorboard, train_py
from runtime.tables import number, print_table

MOST_PARTS = 12  # of one metric, in a table

if TYPE_CHECKING:
    from cli.build import Run


def report(run: "Run") -> None:
    """Print the summary table of a command, on rank zero."""
    if rank_zero_only.rank != 0:
        return
    if run.is_finished:
        report_finished(run)
    else:
        REPORTS[run.request.command](run)


def report_finished(run: "Run") -> None:
    """Say that a complete run is left as it is."""
    assert run.end is not None
    print(
        f"{run.folder} is finished: {run.end.epochs} epochs, {run.end.steps} steps; {run.end.words}; "
        "for more, a larger --trainer.max_epochs"
    )


def report_fit(run: "Run") -> None:
    """Print the best metrics, where the files are, and what to do next."""
    start_up = "" if math.isnan(run.start_up) else f", the first step after {run.start_up:.1f} s"
    times = {"time": f"{time.perf_counter() - run.started:.0f} s{start_up}"}
    checkpoints = [run.folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
    checkpoint = next((path for path in checkpoints if path.exists()), None)
    if checkpoint is None:
        print_table("no checkpoint was saved", times)
        return
    saver = next((each for each in run.trainer.callbacks if isinstance(each, BestCheckpoint)), None)
    best = saver.best_metrics if saver else {}
    title = title_of(run, f"best by {run.settings.monitor}{extreme(saver)}")
    if checkpoint.name != "best.ckpt":
        title = title_of(run, "nothing was validated, so there is no best")
    drawing = sum(picture.seconds for picture in pictures_of(run.trainer))
    rows = metric_rows(best) | times
    if drawing:
        rows["of that drawing"] = f"{drawing:.1f} s"
    rows["run folder"] = str(run.folder)
    rows |= report_row(run)
    rows["test it"] = train_py("test", "--ckpt_path", checkpoint)
    rows["look inside"] = tensorboard(run.folder.parent.parent)
    print_table(title, rows)


def metric_rows(metrics: Mapping[str, float]) -> dict[str, str]:
    """Each metric by its name; of one with many numbers, such as one for each class, only the range."""
    parts: dict[str, list[float]] = {}
    for name, value in metrics.items():
        parts.setdefault(metric_of(name), []).append(value)
    rows = {}
    for name, value in metrics.items():
        whole = metric_of(name)
        if len(parts[whole]) <= MOST_PARTS:
            rows[name] = number(value)
        else:
            low, high = number(min(parts[whole])), number(max(parts[whole]))
            rows[f"{whole}/..."] = f"{low} to {high}, {len(parts[whole])} values in result.json"
    return rows


def metric_of(name: str) -> str:
    """`val/f1_score` of `val/f1_score/disc`; other names as they are."""
    whole = name.rpartition("/")[0]
    return whole if "/" in whole else name


def extreme(saver: BestCheckpoint | None) -> str:
    """The direction in which best.ckpt was chosen, and the value reached: `, the smallest: 0.25`."""
    if saver is None or saver.best_model_score is None:
        return ""
    side = "smallest" if saver.mode == "min" else "largest"
    return f", the {side}: {number(float(saver.best_model_score))}"


def report_metrics(run: "Run") -> None:
    """Print what was measured on the validation or test split."""
    rows = metric_rows({name: float(value) for name, value in run.trainer.callback_metrics.items()})
    rows = (rows or {"nothing": "was measured"}) | report_row(run)
    print_table(title_of(run, str(run.settings.ckpt_path)), rows)


def report_row(run: "Run") -> dict[str, str]:
    """Where the page of the run is, if there is one."""
    path = page_of(run)
    return {"report": str(path)} if path is not None and path.exists() else {}


def report_predictions(run: "Run") -> None:
    """Print which tables and images were written."""
    writers = [each for each in run.trainer.callbacks if isinstance(each, PredictionWriter)]
    rows = {name: words for writer in writers for name, words in writer.lines.items()}
    if not writers:
        rows = {"written": "by the writer of the config"}
    print_table("predictions", rows or {"nothing": "was predicted"})


def title_of(run: "Run", about: str) -> str:
    """The experiment's name, and what the table is about."""
    return f"{run.folder.resolve().parent.name}: {about}"


REPORTS = {
    "fit": report_fit,
    "validate": report_metrics,
    "test": report_metrics,
    "predict": report_predictions,
}
