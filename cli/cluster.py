"""Jobs that are restarted: by SLURM after a requeue, by torchrun after a worker has died.

During a run, a small file `runs/.jobs/<job>` names its folder. A restarted job finds the folder there and resumes as
`fit --resume` would; a new job has another name. All processes must see the same `runs`.
"""

import hashlib
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from runtime.errors import UsageError

JOBS = Path("runs", ".jobs")


def rank() -> int:
    """Number of this process in the launch, 0 for the one that writes; found in the same order as Lightning does."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        if name in os.environ:
            return int(os.environ[name])
    return 0


def slurm_job() -> str | None:
    """The job's name for `scontrol`; the tasks of an array keep their name when they are requeued."""
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID")


def job_file(args: Sequence[str]) -> Path | None:
    """File that notes the run's folder; None without a scheduler. A job may train several runs in sequence."""
    command = hashlib.sha256("\0".join(args).encode()).hexdigest()[:12]
    if job := slurm_job():
        return JOBS / f"slurm-{os.environ.get('SLURM_CLUSTER_NAME', '')}-{job}-{command}"
    job = os.environ.get("TORCHELASTIC_RUN_ID")
    if job == "none":  # torchrun without --standalone or --rdzv-id; the parent process stays the same
        job = f"{socket.gethostname()}-{os.getppid()}"
    return JOBS / f"torchrun-{job}-{command}" if job else None


def may_be_restarted() -> bool:
    """Whether this may be a restart; False only if it is certainly the job's first start.

    torchrun counts restarts per node: on a node where all workers are well, the count stays 0.
    """
    if os.environ.get("TORCHELASTIC_RUN_ID", "none") != "none":
        return True
    counts = [os.environ.get(name, "0") for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")]
    return counts != ["0", "0"]


def interrupted_run(file: Path) -> Path | None:
    """Folder of the run that an earlier start of this job began and saved; all processes find the same one.

    No process can train until all have called this, so no checkpoint appears in the meantime.
    """
    if not may_be_restarted():  # an existing file is left from an older job of the same name
        forget_run(file)
    if not file.exists():
        return None
    folder = Path(file.read_text(encoding="utf-8"))
    return folder if any(folder.glob("checkpoints/*.ckpt")) else None


def note_run(file: Path, folder: Path) -> None:
    """Note the run's folder for the job."""
    if rank() == 0:
        from callbacks.files import write_whole  # PyTorch is imported by now

        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, str(folder))


def forget_run(file: Path) -> None:
    """Delete the note once the run is done."""
    if rank() == 0:
        file.unlink(missing_ok=True)


def check_leftovers(folder: Path) -> None:
    """Refuse a folder with a checkpoint that Lightning would load on SLURM without being asked."""
    if slurm_job() and (found := sorted(folder.glob("hpc_ckpt_*.ckpt"))):
        raise UsageError(
            f"{found[-1]} was left by another job, and Lightning would resume from it; move it out of the way"
        )


def requeue() -> str:
    """Ask SLURM to end this job and start it again; returns the outcome in words."""
    job = slurm_job() or ""
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"job {job} is not requeued: {error}"
    if done.returncode != 0:
        return f"job {job} is not requeued: {done.stderr.strip()}"
    return f"job {job} is requeued and will resume by itself"
