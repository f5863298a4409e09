"""`train.py report RUN ...`: the page of a run, of several runs side by side, or of a sweep, made again from files.

And the page at the end of `fit` and `test`.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_lightning.utilities.rank_zero import rank_zero_only, rank_zero_warn

from callbacks.observing import in_words
from cli.run_paths import run_of
from pages.comparison import write_comparison
from pages.report import FILE, write_report
from pages.sweep import sweep_of, write_sweep
from runtime.commands import train_py
from runtime.errors import UsageError

if TYPE_CHECKING:
    from cli.build import Run

WITH_A_PAGE = ("fit", "test")  # commands that write one at their end


def main(words: Sequence[str]) -> int:
    """Write the page of a run, of several runs or of a sweep, and print where it is; returns the exit code.

    Raises:
        UsageError: for a wrong command, or a run that is not there.
    """
    usage = train_py("report", "RUN", "...")
    if odd := next((word for word in words if word.startswith("-")), None):
        raise UsageError(f"report takes no flags, and {odd} looks like one; write: {usage}")
    if not words:
        raise UsageError(f"report needs a run; write: {usage}")
    if len(words) == 1 and (sweep := sweep_of(words[0])) is not None:
        print(write_sweep(sweep))
        return 0
    runs = [run_of(word) for word in words]
    print(write_report(runs[0]) if len(runs) == 1 else write_comparison(runs))
    return 0


@contextlib.contextmanager
def page_at_end(run: "Run") -> Iterator[None]:
    """Write the page of a run after a command, however that ends; a failure is one warning."""
    failed = True
    try:
        yield
        failed = False
    finally:
        # what fails before its first step leaves everything as it was
        has_changed = not failed or not math.isnan(run.start_up)
        if has_changed and page_of(run) is not None:
            try:
                write_report(run.folder)
            except Exception as error:
                rank_zero_warn(f"{run.folder / FILE} could not be written ({in_words(error)})")


def page_of(run: "Run") -> Path | None:
    """Where a command writes its page; None if it writes none."""
    settings = run.settings
    if run.request.command not in WITH_A_PAGE or not settings.page or settings.trainer.fast_dev_run:
        return None
    is_run = rank_zero_only.rank == 0 and (run.folder / "config.yaml").exists()
    return run.folder / FILE if is_run else None
