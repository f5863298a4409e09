"""A job on a real SLURM: two signals, two requeues, and the same weights in the end."""

import contextlib
import signal
from pathlib import Path

import torch

from tests.clusters.conftest import FIT, LAST, ROOT, check_result
from tests.clusters.slurm import ask, until

SBATCH = ROOT / "configs/cluster/slurm.sbatch"


def listening(job: str) -> int:
    """How many of the job's tasks have a handler for SIGUSR1."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if (
                b"train.py" in words[1:2]
                and f"SLURM_JOB_ID={job}\0".encode() in (folder / "environ").read_bytes()
            ):
                status = (folder / "status").read_text()
                caught = int(status.partition("SigCgt:")[2].split()[0], 16)  # a bit for each signal, from 1
                count += caught >> (signal.SIGUSR1 - 1) & 1
    return count


def test_a_two_node_job_is_requeued_and_ends_with_the_same_weights(
    slurm: dict[str, str], office: Path, undisturbed: dict[str, torch.Tensor]
) -> None:
    of_job = f"--chdir={office} --nodes=2 --gpus-per-node=0 --cpus-per-task=1 --mem-per-cpu=100 --time=10"
    words = [*of_job.split(), str(SBATCH), *FIT.split(), "--run_name", "requeued"]
    job = ask(slurm, "sbatch", "--parsable", *words)
    log, run = office / f"slurm-{job}.out", office / "runs/requeued"

    def show() -> str:
        return f"{ask(slurm, 'scontrol', 'show', 'job', job)}\n{log.read_text() if log.exists() else ''}"

    def field(name: str) -> str:
        return next(word.partition("=")[2] for word in show().split() if word.startswith(f"{name}="))

    def warn() -> None:
        """What `--signal` does some time before the limit."""
        ask(slurm, "scancel", "--signal=USR1", job)

    until(lambda: listening(job) == 2, 60, show)
    warn()  # in the imports
    until(lambda: field("Restarts") == "1", 60, show)
    until((run / LAST).exists, 120, show)
    warn()  # in the training
    until(lambda: field("Restarts") == "2", 60, show)
    interrupted = torch.load(run / LAST, weights_only=True)["global_step"]
    until(lambda: field("JobState") in ("COMPLETED", "FAILED"), 120, show)
    assert field("JobState") == "COMPLETED", show()

    check_result(run, undisturbed)
    assert 0 < interrupted < torch.load(run / LAST, weights_only=True)["global_step"]
