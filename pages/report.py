"""report.html: the page of one run.

    write_report(Path("runs/titanic_mlp/version_0"))

Everything on it comes from files of the run, so it can be written again at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from callbacks.files import write_whole
from callbacks.observing import in_words
from pages import asked, curves, distributions, findings, gallery, layers, origin, result, weights
from pages.frame import Section, note, page
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
    makers = {
        "asked": asked.section,
        "result": result.section,
        "findings": findings.section,
        "curves": curves.section,
        "layers": layers.section,
        "distributions": distributions.section,
        "weights": weights.section,
    }
    sections = [attempt(name, make, run) for name, make in makers.items()]
    room = int(0.7 * (MAX_BYTES - BYTES_OF_BOKEH - sum(len(section.body) for section in sections)))
    sections += [
        attempt("pictures", partial(gallery.section, budget=room), run),
        attempt("time", origin.time_section, run),
        attempt("repeat", origin.section, run),
    ]
    head = asked.head(run, state, run.steps_done(state) if step is None else step)
    title = f"{run.experiment} {run.folder.resolve().name}"
    return page(title, head, sections, resumed_at=run.resumed_at, reloads=state == "running")


def attempt(name: str, make: Callable[[RunFiles], Section], run: RunFiles) -> Section:
    """A section; one sentence in its place if a file holds what it was not made for."""
    try:
        return make(run)
    except Exception as error:
        words = f"The section {name} could not be made ({in_words(error)})."
        return Section(name, name.capitalize(), "", note(words))
