"""report.html: the page of one run.

    write_report(Path("runs/titanic_mlp/version_0"))

Everything on it comes from files of the run, so it can be written again at any time.
"""

from __future__ import annotations

from pathlib import Path

from callbacks.files import write_whole
from pages import asked, curves, distributions, findings, gallery, layers, origin, result, weights
from pages.frame import page
from pages.run_files import RunFiles
from runtime.run_record import State, state_of

FILE = "report.html"
MAX_BYTES, BYTES_OF_BOKEH = 4_900_000, 1_450_000


def write_report(folder: Path, state: State | None = None, step: int | None = None) -> Path:
    """Write the page of a run into its folder; returns its path.

    Args:
        folder: of the run.
        state: of the run; default: what its files say.
        step: steps done; default: the last one that was logged.

    Raises:
        OSError: the file cannot be written.
    """
    path = folder / FILE
    write_whole(path, report(RunFiles(folder), state or state_of(folder), step))
    return path


def report(run: RunFiles, state: State, step: int | None = None) -> str:
    """The page as HTML."""
    sections = [
        asked.section(run),
        result.section(run),
        findings.section(run),
        curves.section(run),
        layers.section(run),
        distributions.section(run),
        weights.section(run),
    ]
    room = MAX_BYTES - BYTES_OF_BOKEH - sum(len(section.body) for section in sections)
    sections += [gallery.section(run, int(0.7 * room)), origin.time_section(run), origin.section(run)]
    head = asked.head(run, state, run.steps_done(state) if step is None else step)
    title = f"{run.experiment} {run.folder.resolve().name}"
    return page(title, head, sections, resumed_at=run.resumed_at, reloads=state == "running")
