"""Commands in processes forked from one that has imported everything; they can be awaited or killed."""

import contextlib
import gc
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pytorch_lightning.utilities.rank_zero import rank_zero_only

from benchmarks.killed_training import PHASE, PHASES


@dataclass
class Job:
    """One command, in one or more forked processes; it returns an exit code."""

    command: Callable[[], int]
    processes: int = 1
    pids: dict[int, int | None] = field(default_factory=dict)  # with the exit code once there is one

    def start(self) -> None:
        """Start the processes, without waiting for them."""
        PHASE[0] = 0
        port = free_port()
        gc.collect()
        gc.freeze()  # a collection in a fork would copy all that the parent has imported
        for rank in range(self.processes):
            if (pid := os.fork()) == 0:
                become(rank, self.processes, port)
                code = 1
                try:
                    code = self.command()
                except BaseException:
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(code)
            with contextlib.suppress(OSError):  # it has done so itself
                os.setpgid(pid, pid)  # a kill may come before it does
            self.pids[pid] = None

    def is_over(self) -> bool:
        """Whether all processes have ended."""
        for pid in [pid for pid, code in self.pids.items() if code is None]:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.pids[pid] = os.waitstatus_to_exitcode(status)
        return None not in self.pids.values()

    def wait(self, seconds: float = 300.0, until_training: bool = False) -> bool:
        """Wait at most `seconds` for the end, or for the training to start; returns whether the command has ended."""
        deadline = time.monotonic() + seconds
        while not (over := self.is_over()) and time.monotonic() < deadline:
            if until_training and PHASE[0]:
                break
            time.sleep(0.0005)
        return over

    def kill(self) -> str:
        """Kill -9, workers included; returns what the command was doing."""
        phase = PHASES[PHASE[0]]
        for pid in self.pids:
            if self.pids[pid] is None:
                os.killpg(pid, signal.SIGKILL)
        self.wait()
        return phase

    def failure(self) -> str:
        """What a command that has ended wrote last, if it failed; empty if it did not."""
        if set(self.pids.values()) == {0}:
            return ""
        logs = [Path(f"log_{rank}.txt").read_text()[-1500:] for rank in range(self.processes)]
        return "\n".join([f"exit codes {list(self.pids.values())}", *logs])


def become(rank: int, processes: int, port: int) -> None:
    """Set up this fork like a process that torchrun started, in its own group, with its output in a file."""
    os.setpgid(0, 0)
    log = os.open(f"log_{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.pop("LIGHTNING_INSIDE_RUN", None)
    if processes > 1:
        names = ("RANK", "LOCAL_RANK", "GROUP_RANK")
        os.environ |= {name: str(rank if name != "GROUP_RANK" else 0) for name in names}
        os.environ |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
        os.environ |= {"TORCHELASTIC_RUN_ID": "none"}
        rank_zero_only.rank = rank


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
