"""torchrun starts a run again when one of its processes is killed, and it ends as if nothing had happened."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from tests.clusters.conftest import FIT, LAST, ROOT, check_result


def workers(torchrun: int) -> list[int]:
    """Process numbers of those that torchrun has started."""
    return [int(pid) for pid in Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the workers are looked up in /proc")
def test_a_killed_worker_is_started_again(
    office: Path, environment: dict[str, str], undisturbed: dict[str, torch.Tensor]
) -> None:
    process = subprocess.Popen(
        [str(ROOT / "configs/cluster/torchrun.sh"), *FIT.split(), "--run_name", "killed"],
        cwd=office,
        env={**environment, "NPROC": "2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = office / "runs/killed"
    deadline = time.monotonic() + 120
    try:
        while not (run / LAST).exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(workers(process.pid)[1], signal.SIGKILL)
        _, error = process.communicate(timeout=240)
    finally:
        process.terminate()  # torchrun ends its workers too
    assert process.returncode == 0, error
    assert "this job was started before; it resumes runs/killed/version_0" in error
    check_result(run, undisturbed)
