"""Files that are complete or absent: a program killed at any moment leaves the old file or the new one."""

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

BLOCK = 4096  # bytes read at once, from the end of a file


def write_whole(path: Path, data: bytes | str) -> None:
    """Replace the file at `path` with `data` (text as UTF-8). For errors, see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path next to `path`, for a block to write to; at the block's end the file replaces `path`.

        with replacing(path) as temporary:
            table.to_csv(temporary)

        with replacing(path) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)

    If several write at the same time, only one gets its file in place. Leftovers of killed writers are removed.

    Raises:
        OSError: the file cannot be written. Then, and after any error of the block, the old file is unchanged, and
            no temporary file is left.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        leftover.unlink(missing_ok=True)
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        name_file(error, path)
        raise
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder; the file is in place anyway
        _sync(path.parent, os.O_RDONLY)


@contextlib.contextmanager
def appending(path: Path) -> Iterator[IO[str]]:
    """The text file at `path`, for a block to append whole lines to; after any error of the block it is as it was.

    Raises:
        OSError: the file cannot be written, or the disk is full.
    """
    length = cut_unfinished_line(path)
    try:
        with path.open("a", newline="", encoding="utf-8") as file:
            yield file
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.truncate(path, length)
        name_file(error, path)
        raise


def name_file(error: BaseException, path: Path) -> None:
    """Name the file in an error of the system that does not, such as that of a full disk."""
    if isinstance(error, OSError) and error.errno is not None and error.filename in (None, -1):
        error.filename = str(path)


def cut_unfinished_line(path: Path) -> int:
    """Remove the end of a line that a kill or a full disk cut short, as the next line would be appended to it.

    Returns:
        The length of the file, in bytes; 0 if there is none.
    """
    if not path.exists():
        return 0
    with path.open("rb+") as file:
        length = end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - BLOCK)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < length:
            file.truncate(end)
    return end


def _sync(path: Path, flags: int) -> None:
    """Make the disk store what was written, so that it survives a power cut."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
