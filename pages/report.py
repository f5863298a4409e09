"""report.html: the page of one run.

    write_report(Path("runs/titanic_mlp/version_0"))

Everything on it comes from files of the run, so it can be written again at any time.
"""

from __future__ import annotations

from pathlib import Path

from callbacks.files import write_whole
from pages import curves
from pages.charts import Charts
from pages.frame import page
from pages.run_files import RunFiles

FILE = "report.html"


def write_report(folder: Path) -> Path:
    """Write the page of a run into its folder; returns its path."""
    path = folder / FILE
    write_whole(path, report(RunFiles(folder)))
    return path


def report(run: RunFiles) -> str:
    """The page as HTML."""
    charts = Charts(run.resumed_at)
    sections = [curves.section(run, charts)]
    return page(run.experiment, f"<h1>{run.experiment}</h1>", sections, charts)
