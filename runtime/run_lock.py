"""A lock on a run's folder while the run is alive: two processes that train in one folder spoil each other's files.

The system releases the lock when the process ends, however it ends, also by `kill -9`, a crash or a reboot. On NFS it
holds between machines if the file system is mounted with locking, as it is by default (Linux takes flock for a
lock on the server); when a whole machine dies, the server keeps it until the machine's lease ends, 90 s by default.
Where locks do not work at all, there is a warning and no lock.
"""

import os
import socket
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pytorch_lightning.utilities.rank_zero import rank_zero_only, rank_zero_warn

from runtime.errors import UsageError

FILE = ".lock"
SECONDS_AFTER_A_CRASH = 120.0  # until an NFS server has forgotten a machine that died
SECONDS_OF_A_READER = 0.2  # `is_locked` holds the lock for far less


def is_locked(folder: Path) -> bool:
    """Whether a process holds a run's folder now; False where that cannot be found out."""
    file = folder / FILE
    if not file.exists():
        return False
    lock = FileLock(file, fallback_to_soft=False)
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False


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
