"""Run folders, `runs/<experiment>/version_N`: two launches never share one; all processes of a launch do."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from runtime.errors import UsageError

ROOT = Path("runs")
OTHER_RANK = "other_rank"  # stands for the folder's name until the first process has said it
_VARIABLE = "LIGHTNING_INSIDE_RUN"  # passes the folder from the first process to those it launches


def new_run_folder(experiment: str, rank: int) -> Path:
    """Claim the next free number. `mkdir` either makes the folder or fails, so no two launches get the same.

    Only the first process of a launch writes. Ranks started from outside (torchrun, SLURM) get the name once they are
    connected; see `own_loggers.SameFolder`.
    """
    parent = ROOT / experiment
    if rank != 0:
        return Path(os.environ.get(_VARIABLE, parent / OTHER_RANK))
    number = max(map(version, newest_first(parent)[:1]), default=-1)
    while True:
        number += 1
        folder = parent / f"version_{number}"
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            if isinstance(error, FileExistsError) and folder.is_dir():
                continue
            raise UsageError(
                f"cannot make the run folder {folder}: {error.strerror}; "
                "remove what is in the way, or work where you may write"
            ) from None
        os.environ[_VARIABLE] = str(folder)
        return folder


def version(folder: Path) -> int:
    """The number of a run, -1 for a folder that is none."""
    name, number = folder.name[:8], folder.name[8:]
    return int(number) if name == "version_" and number.isdecimal() else -1


def newest_first(experiment: Path) -> list[Path]:
    """The folders of an experiment's runs."""
    runs = [path for path in experiment.glob("version_*") if version(path) >= 0]
    return sorted(runs, key=version, reverse=True)


def run_folders(below: Path) -> Iterator[Path]:
    """All folders of runs below a folder, at any depth; names with a dot in front are left out."""
    try:
        folders = sorted(each.path for each in os.scandir(below) if each.is_dir() and each.name[0] != ".")
    except OSError:  # there is no such folder, or it cannot be read
        return
    for folder in map(Path, folders):
        if version(folder) >= 0:
            yield folder
        else:
            yield from run_folders(folder)


def discard(folder: Path, kept: set[Path] | None) -> None:
    """Remove what a launch wrote that failed before its first step.

    Args:
        folder: of the run.
        kept: what was there before, if the run is older; None if this launch made the folder.
    """
    if kept is not None:
        for path in set(folder.rglob("events.out.tfevents.*")) - kept:
            path.unlink()
        return
    shutil.rmtree(folder, ignore_errors=True)
    for parent in (*folder.parents,)[:-1]:
        with contextlib.suppress(OSError):  # it holds other runs
            parent.rmdir()
