"""A SLURM of two nodes, both on this machine.

    apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge

as root, with the versions of Debian 12 (SLURM 22.05); elsewhere tests that need it are skipped and say so.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NODES = ("node1", "node2")
DAEMONS = ("munged", "slurmctld", "slurmd")

# No cgroups and no accounting; `cred_expire`: else a requeued job waits for two minutes; `config_overrides`: a node may
# claim more cores than the machine has.
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
KillWait=15
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=8000 State=UNKNOWN
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=8000 State=UNKNOWN
PartitionName=all Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def until(happened: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
    """Wait for something, or fail with the words of `what`."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


def stop(daemon: Path) -> None:
    """End the daemon of a pid file and wait until it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        pid = int(daemon.read_text())
        os.kill(pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}").exists(), 30, lambda: f"{daemon.stem} does not end")


@contextlib.contextmanager
def running(folder: Path, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Start a SLURM, with its own authentication, in a folder of its own; the environment to talk to it."""
    if missing := [name for name in DAEMONS if shutil.which(name) is None]:
        pytest.skip(f"no SLURM: {', '.join(missing)} not found; see the head of {Path(__file__).name}")
    if os.geteuid() != 0:
        pytest.skip("no SLURM: its daemons are started as root")
    conf = CONF.format(host=socket.gethostname(), folder=folder, ports=free_ports(3))
    (folder / "slurm.conf").write_text(conf)
    (folder / "state").mkdir()
    (folder / "munge.key").write_bytes(secrets.token_bytes(1024))
    (folder / "munge.key").chmod(0o600)
    files = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid"}
    files |= {"log-file": "munged.log", "seed-file": "munge.seed"}
    environment = {**environment, "SLURM_CONF": str(folder / "slurm.conf")}
    commands = [["munged", "--force", *(f"--{name}={folder / file}" for name, file in files.items())]]
    commands += [["slurmctld", "-c"], *(["slurmd", "-N", node] for node in NODES)]
    try:
        for command in commands:
            subprocess.run(command, env=environment, check=True, timeout=30)
        until(lambda: ask(environment, "sinfo", "-h", "-o", "%t %D") == "idle 2", 30, lambda: "no idle nodes")
        yield environment
    finally:
        subprocess.run(["scancel", "--full", "--signal=KILL", "--user=root"], env=environment, check=False)
        for name in (*(f"slurmd.{node}" for node in NODES), "slurmctld", "munged"):
            stop(folder / f"{name}.pid")


def ask(environment: dict[str, str], *command: str) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
