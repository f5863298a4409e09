"""Files that are whole or not there: a program killed at any moment leaves the old file or the new one."""

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: Path, data: bytes | str) -> None:
    """Put `data` (text as UTF-8) in the place of the file at `path`. For errors, see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path next to `path`, for a block to write to; at its end the file takes the place of `path`.

        with replacing(path) as temporary:
            table.to_csv(temporary)

        with replacing(path) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)

    Of several writers at a time, only one gets its file in place. What a killed one has left behind is removed.

    Raises:
        OSError: the file cannot be written. Then, and after any error of the block, the old file is as it was, and
            nothing is left next to it.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        leftover.unlink(missing_ok=True)
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    with contextlib.suppress(
        OSError
    ):  # a file system that cannot sync a folder: the file is in place all the same
        _sync(path.parent, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    """Have the disk hold what was written, so that it outlives a power cut."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
