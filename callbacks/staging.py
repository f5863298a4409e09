"""Several files that belong together, replaced together; what they replace is kept."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A temporary folder inside `folder`, for a block to write to; removed at its end, with leftovers of killed writers.

    Raises:
        OSError: of the block; it names the file by its place in `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".staged.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
    staged = folder / f".staged.{os.getpid()}.tmp"
    try:
        staged.mkdir()
        yield staged
    except OSError as error:
        name = str(error.filename or "")
        if name.startswith(f"{staged}{os.sep}"):
            error.filename = str(folder / Path(name).relative_to(staged))
        raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def put_in_place(staged: Path, folder: Path, names: Sequence[str], earlier: str) -> Path | None:
    """Move what was staged to its place; what was there under any of `names` goes to `folder/earlier/1`, `/2`, ...

    A file is there at any moment, the old one or the new one; a folder is missing for a moment.

    Returns:
        Where the earlier ones are now; None if there were none, or if all are the same.
    """
    before = [name for name in names if (folder / name).exists()]
    now = [name for name in names if (staged / name).exists()]
    if before == now and all(same(folder / name, staged / name) for name in now):
        return None
    kept = keep(folder, before, folder / earlier) if before else None
    for name in now:
        os.replace(staged / name, folder / name)
    for name in set(before) - set(now):
        if (folder / name).is_file():
            (folder / name).unlink()
    return kept


def keep(folder: Path, names: Sequence[str], earlier: Path) -> Path:
    """Files as a second link to them, folders moved; to the first free number in the folder `earlier`."""
    earlier.mkdir(exist_ok=True)
    numbers = [int(path.name) for path in earlier.iterdir() if path.name.isdigit()]
    kept = earlier / str(max(numbers, default=0) + 1)
    kept.mkdir()
    files = [name for name in names if (folder / name).is_file()]
    try:
        for name in files:
            link(folder / name, kept / name)
    except BaseException:
        shutil.rmtree(kept, ignore_errors=True)
        raise
    for name in set(names) - set(files):
        os.rename(folder / name, kept / name)
    return kept


def link(source: Path, target: Path) -> None:
    """A second name of a file; a copy where the file system knows only one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def same(one: Path, other: Path) -> bool:
    """Whether two files, or all files in two folders, hold the same bytes."""
    if one.is_dir() != other.is_dir():
        return False
    if one.is_file():
        return filecmp.cmp(one, other, shallow=False)
    names = sorted(path.name for path in one.iterdir())
    others = sorted(path.name for path in other.iterdir())
    return names == others and not any(filecmp.cmpfiles(one, other, names, shallow=False)[1:])
