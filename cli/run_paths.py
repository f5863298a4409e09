"""Which run or checkpoint is meant: a file, a run by its folder, or the newest run by the name of an experiment.

Every command reads these words here: `runs/titanic_mlp/version_3`, `titanic_mlp/version_3` or `titanic_mlp`.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from cli.cluster import rank
from cli.overview import CONFIGS
from runtime.commands import path_from_here, train_py
from runtime.errors import UsageError, closest
from runtime.run_folder import ROOT, newest_first, run_folders, version

NAMES = ("best.ckpt", "last.ckpt")
OF_A_RUN = ("config.yaml", "run.json", "checkpoints")  # one of these lies in every run's folder
FORMS = "give a run, runs/<name>/version_N, the name of an experiment that has runs, or a checkpoint"


def checkpoint_of(given: Path) -> Path:
    """The best checkpoint of a run, or the last one if it has no best; the path itself if it is none of these."""
    if given.is_file() or is_sharded(given):
        return given
    run = given.parent if given.name == "checkpoints" else given
    return next((path for folder in folders_of(run) if (path := saved_in(folder)) is not None), given)


def is_sharded(path: Path) -> bool:
    """Whether a folder is a checkpoint in parts, as FSDP writes it."""
    return (path / "meta.pt").is_file()


def saved_in(folder: Path) -> Path | None:
    """The best checkpoint in a run's folder, or the last one; None if nothing was saved yet."""
    paths = [folder / "checkpoints" / name for name in NAMES]
    return next((path for path in paths if path.exists()), None)


def existing_checkpoint(given: str, label: str = "") -> Path:
    """The checkpoint that is meant. If an experiment was named, it prints which of its runs was taken.

    Args:
        given: a file, the folder of a run, or the name of an experiment.
        label: what the message calls it; by default as it was given.

    Raises:
        UsageError: if there is none.
    """
    label = label or given
    path = readable(given, label)
    found = checkpoint_of(path)
    if found.is_file() or is_sharded(found):
        if found != path:
            announce(given, found.parent.parent, "its newest run with a checkpoint")
        return found
    if is_run(path):
        raise UsageError(
            f"{label} is a folder without a checkpoint; the run has saved none, so give another run"
        )
    if path.is_dir():
        raise UsageError(f"{label} is a folder without a checkpoint; {FORMS}")
    raise UsageError(no_such_run(given, label))


def run_of(given: str, label: str = "", *, saved: bool = False) -> Path:
    """The folder of the run that is meant. If an experiment was named, it prints which of its runs was taken.

    Args:
        given: the folder of a run, or the name of an experiment.
        label: what the message calls it; by default as it was given.
        saved: of an experiment, take the newest run that has a checkpoint.

    Raises:
        UsageError: if there is none.
    """
    label = label or given
    path = readable(given, label)
    if path.is_file():
        raise UsageError(f"{label} is a file; give the folder of its run, runs/<name>/version_N")
    candidates = [folder for folder in folders_of(path) if is_run(folder)]
    if found := next((each for each in candidates if not saved or saved_in(each)), None):
        announce(given, found, "its newest run with a checkpoint" if saved else "its newest run")
        return found
    if candidates:
        return candidates[0]  # what it lacks is said by who needs it
    if path.is_dir():
        raise UsageError(
            f"{label} is a folder without a run; give the folder of a run, runs/<name>/version_N"
        )
    raise UsageError(no_such_run(given, label))


def readable(given: str, label: str) -> Path:
    """The words as a path.

    Raises:
        UsageError: if no file can have this name, or the user may not look where it lies.
    """
    try:
        os.stat(given)
    except (FileNotFoundError, NotADirectoryError):  # it may be the name of an experiment
        pass
    except (OSError, ValueError) as error:
        raise UsageError(f"{label:.100} cannot be read: {getattr(error, 'strerror', error)}") from None
    return Path(given)


def folders_of(run: Path) -> Iterator[Path]:
    """Where a run may lie: in the folder itself, below it if it is an experiment's, and both below `runs`."""
    for folder in (run, ROOT / run):
        yield folder
        yield from newest_first(folder)


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return any((folder / name).exists() for name in OF_A_RUN)


def announce(given: str, run: Path, kind: str) -> None:
    """Say which run was taken, unless it was named itself."""
    if rank() == 0 and run != Path(given) and run.name not in Path(given).parts:
        newest = next(iter(newest_first(run.parent)), run)
        kind = "its newest run" if newest == run else kind
        print(f"{given}: {kind}, {run}", file=sys.stderr)


def no_such_run(given: str, label: str) -> str:
    """That nothing has this name, and what was probably meant."""
    config = CONFIGS / f"{given}.yaml"
    if config.is_file():
        fit = train_py("fit", "--config", path_from_here(config))
        return f"{label} does not exist: this experiment has no run below {ROOT} yet; train one with: {fit}"
    path = Path(given)
    name = str(path.parent if version(path) >= 0 else path).removeprefix(f"{ROOT}/")
    hint = closest(name, {str(run.parent.relative_to(ROOT)) for run in run_folders(ROOT)})
    if hint is None:
        return f"{label} does not exist; {FORMS}"
    if hint == name:
        return f"{label} does not exist; the newest run of {name} is {newest_first(ROOT / name)[0]}"
    return f"{label} does not exist; did you mean {hint!r}?"
