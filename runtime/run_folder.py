"""Run folders, `runs/<experiment>/version_N`: two launches never share one; all processes of a launch do."""

import contextlib
import os
import shutil
from pathlib import Path

from runtime.errors import UsageError

ROOT = Path("runs")
_VARIABLE = "LIGHTNING_INSIDE_RUN"  # passes the folder from the first process to those it launches


def new_run_folder(experiment: str, rank: int) -> Path:
    """Claim the next free number. `mkdir` either makes the folder or fails, so no two launches get the same.

    Only the first process of a launch writes. Ranks started from outside (torchrun, SLURM) never need the name.
    """
    parent = ROOT / experiment
    if rank != 0:
        return Path(os.environ.get(_VARIABLE, parent / "other_rank"))
    number = max(
        (int(path.name[8:]) for path in parent.glob("version_*") if path.name[8:].isdecimal()), default=-1
    )
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
