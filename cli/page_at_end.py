"""The page of a run at the end of `fit` and `test`."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_lightning.utilities.rank_zero import rank_zero_only, rank_zero_warn

from callbacks.observing import in_words
from pages.report import FILE, write_report

if TYPE_CHECKING:
    from cli.build import Run

WITH_A_PAGE = ("fit", "test")  # commands that write one at their end


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
