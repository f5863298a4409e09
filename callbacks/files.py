"""Files that are complete or absent: a program killed at any moment leaves the old file or the new one."""

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path


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
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder; the file is in place anyway
        _sync(path.parent, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    """Make the disk store what was written, so that it survives a power cut."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
