"""Runs that were removed: they lie in `runs/.trash` under their old names, until the user deletes them.

TensorBoard shows every event file below its folder, so these are renamed there.
"""

import os
from pathlib import Path

from runtime.errors import UsageError
from runtime.run_folder import ROOT
from runtime.run_lock import is_locked, locked

TRASH = ROOT / ".trash"
SHOWN, HIDDEN = "tfevents", "trashed"  # in the names of event files


def remove(run: Path) -> Path:
    """Move a run into the trash; returns where it lies now.

    Raises:
        UsageError: if a process trains in it, or it cannot be moved.
    """
    target = free_name(TRASH / below_root(run))
    try:
        with locked(run) as is_free:
            if not is_free:
                raise UsageError(in_use(run))
            return moved(run, target, SHOWN, HIDDEN)
    except OSError as error:
        raise UsageError(f"{run} cannot be moved to {TRASH}: {error.strerror}") from None


def check_unused(run: Path) -> None:
    """Refuse a run in which a process trains now."""
    below_root(run)
    if is_locked(run):
        raise UsageError(in_use(run))


def in_use(run: Path) -> str:
    """Who trains in a run's folder."""
    holder = (run / ".lock").read_text(encoding="utf-8", errors="replace")
    return f"{run} is in use by {holder}; wait until it ends, or stop it"


def restore(run: Path) -> Path:
    """Move a run from the trash back to where it was; returns that folder.

    Args:
        run: its folder in the trash, or the one it had before.

    Raises:
        UsageError: if it is not in the trash, or another run has its folder now.
    """
    inside = run if TRASH in run.parents else TRASH / below_root(run)
    name = inside.relative_to(TRASH)
    home = ROOT / name.with_name(name.name.partition("-")[0])
    if not inside.is_dir():
        raise UsageError(f"{inside} does not exist; nothing of this name was removed")
    if home.exists():
        raise UsageError(f"{home} is another run by now; move {inside} by hand to a folder that is free")
    try:
        return moved(inside, home, HIDDEN, SHOWN)
    except OSError as error:
        raise UsageError(f"{inside} cannot be moved to {home}: {error.strerror}") from None


def below_root(run: Path) -> Path:
    """The name of a run below `runs`."""
    place = Path(os.path.relpath(run, ROOT))
    if ".." in place.parts or place.is_absolute():
        raise UsageError(f"{run} does not lie below {ROOT}; remove it yourself")
    return place


def free_name(target: Path) -> Path:
    """The path itself, or one with a number if a run of this name was removed before."""
    number, free = 1, target
    while free.exists():
        number += 1
        free = target.with_name(f"{target.name}-{number}")
    return free


def moved(source: Path, target: Path, before: str, after: str) -> Path:
    """Move a folder, and rename its event files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(source, target)
    for path in [*target.rglob(f"*.{before}.*")]:
        path.rename(path.with_name(path.name.replace(f".{before}.", f".{after}.", 1)))
    for folder in (source.parent, *source.parent.parents):
        if folder in (ROOT, TRASH, Path()) or any(folder.iterdir()):
            break
        folder.rmdir()
    return target
