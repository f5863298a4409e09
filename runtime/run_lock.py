"""A lock on a run's folder while the run is alive: two processes that train in one folder spoil each other's files.

The system releases the lock when the process ends, however it ends, also by `kill -9`, a crash or a reboot. On NFS it
holds between machines if the file system is mounted with locking, as it is by default (Linux takes flock for a
lock on the server); when a whole machine dies, the server keeps it until the machine's lease ends, 90 s by default.
Where locks do not work at all, there is a warning and no lock.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import UsageError

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from filelock import FileLock

FILE = ".lock"
SECONDS_AFTER_A_CRASH = 120.0  # until an NFS server has forgotten a machine that died
SECONDS_OF_A_READER = 0.2  # `is_locked` holds the lock for far less


def is_locked(folder: Path) -> bool:
    """Whether a process holds a run's folder now; False where that cannot be found out.

    It takes the lock for an instant, together with any other reader, and writes nothing.
    """
    with contextlib.suppress(FileNotFoundError), locked(folder, os.O_RDONLY) as is_free:
        return not is_free
    return False


@contextlib.contextmanager
def locked(folder: Path, mode: int = os.O_RDWR | os.O_CREAT) -> Iterator[bool]:
    """Hold a run's folder during a block; yields False, and does not hold it, if another process does.

    Args:
        folder: of the run.
        mode: how to open the lock's file. One that is only read is shared with other readers.

    Raises:
        FileNotFoundError: if the file or the folder is missing.
    """
    if sys.platform == "win32":
        yield True
        return
    try:
        descriptor = os.open(folder / FILE, mode, 0o644)
    except PermissionError:
        yield True
        return
    try:
        yield take(descriptor, fcntl.LOCK_SH if mode == os.O_RDONLY else fcntl.LOCK_EX)
    finally:
        os.close(descriptor)  # which gives the lock back


def take(descriptor: int, kind: int) -> bool:
    """Take a lock at once; returns whether no other process has it. Where there are no locks, none has."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


class RunLock:
    """Holds one run's folder from `acquire` until the end of a `with` block, or of the process.

    Of several processes of a run, the first one holds it. The lock file stays: who removed it could remove that of the
    next process. It names the process that holds it.
    """

    def __init__(self) -> None:
        self._lock: FileLock | None = None

    def acquire(self, folder: Path, *, was_restarted: bool = False) -> None:
        """Take the lock. After a restart by a scheduler, wait for what the system still has to clear away.

        Raises:
            UsageError: if another process holds it.
        """
        from filelock import FileLock, Timeout  # they are slow to import, and to read a lock must be fast
        from pytorch_lightning.utilities.rank_zero import rank_zero_only, rank_zero_warn

        if rank_zero_only.rank != 0:
            return
        file = folder / FILE
        self._lock = FileLock(file, fallback_to_soft=False)
        try:
            seconds = SECONDS_AFTER_A_CRASH if was_restarted else SECONDS_OF_A_READER
            self._lock.acquire(timeout=seconds)
        except Timeout:
            raise UsageError(
                f"{folder} is in use by {file.read_text(encoding='utf-8')}; wait until it ends, or stop it"
            ) from None
        except (OSError, NotImplementedError) as error:
            rank_zero_warn(
                f"{folder} cannot be locked ({error}); do not resume this run while it is training"
            )
            return
        file.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")

    def __enter__(self) -> None: ...

    def __exit__(self, *error: Any) -> None:
        self.release()

    def release(self) -> None:
        """Let another process have it."""
        if self._lock is not None:
            self._lock.release()
