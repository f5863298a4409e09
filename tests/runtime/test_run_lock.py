"""Only one process at a time has a run's folder, and a dead one has none."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from runtime import run_lock
from runtime.errors import UsageError
from runtime.run_lock import RunLock

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from runtime.run_lock import RunLock
lock = RunLock()
lock.acquire(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def holder(folder: Path) -> "subprocess.Popen[str]":
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_folder_of_a_live_process_is_refused_and_that_of_a_killed_one_is_free(tmp_path: Path) -> None:
    process = holder(tmp_path)
    lock = RunLock()
    for _ in range(2):  # a refusal leaves the lock as it is
        with pytest.raises(UsageError, match=f"{tmp_path} is in use by process {process.pid} on "):
            lock.acquire(tmp_path)
    process.kill()
    process.wait()
    lock.acquire(tmp_path)
    assert f"process {os.getpid()} on " in (tmp_path / ".lock").read_text()


def test_the_end_of_the_block_releases_it(tmp_path: Path) -> None:
    lock = RunLock()
    lock.acquire(tmp_path)
    with pytest.raises(KeyError), lock:
        raise KeyError
    process = holder(tmp_path)
    process.kill()
    process.wait()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_workers_of_a_killed_process_do_not_keep_it(tmp_path: Path) -> None:
    """They outlive it for some seconds."""
    process = os.fork()
    if process == 0:
        lock = RunLock()
        lock.acquire(tmp_path)
        if os.fork() == 0:
            time.sleep(5)
        os._exit(0)
    os.waitpid(process, 0)
    RunLock().acquire(tmp_path)


def test_a_restarted_job_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = holder(tmp_path)
    monkeypatch.setattr(run_lock, "SECONDS_AFTER_A_CRASH", 0.2)
    begun = time.monotonic()
    with pytest.raises(UsageError):
        RunLock().acquire(tmp_path, was_restarted=True)
    assert time.monotonic() - begun >= 0.2
    monkeypatch.setattr(run_lock, "SECONDS_AFTER_A_CRASH", 60)
    process.send_signal(signal.SIGKILL)
    RunLock().acquire(tmp_path, was_restarted=True)
    process.wait()


def test_other_ranks_hold_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    RunLock().acquire(tmp_path)
    assert not (tmp_path / ".lock").exists()


def test_where_locks_do_not_work_there_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.warns(UserWarning, match="cannot be locked .*not implemented"):
        RunLock().acquire(tmp_path)
