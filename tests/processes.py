"""Processes forked from one that has done the imports: the same code and output, in a tenth of the time."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmarks.forks import free_port

ROOT = Path(__file__).parents[1]
SECONDS = 300  # whatever takes longer hangs
OF_LAUNCHES = ("LIGHTNING_INSIDE_RUN", "MASTER_ADDR", "MASTER_PORT")  # left by other tests

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["cli.build", "cli.sweep"])


@dataclass(frozen=True)
class Outcome:
    """What a process left: its exit code, and what it wrote."""

    code: int | None
    out: str
    err: str


class Forked:
    """A function in a process of its own, used like a `subprocess.Popen`; it ends with the code that is returned.

    Args:
        function: defined in a module, so that the process can import it.
        args: of the function.
        folder: in which it works, and which comes first where modules are looked for.
        environment: added to that of this process.
    """

    def __init__(self, function: Callable[..., int], *args: Any, folder: Path, **environment: str) -> None:
        self._kept = tempfile.TemporaryDirectory()  # until this object is gone
        self.outputs = Path(self._kept.name)
        full = {name: value for name, value in os.environ.items() if name not in OF_LAUNCHES} | environment
        with started_with_this_project():
            child = (function, args, folder.resolve(), self.outputs, full)
            self.process: BaseProcess = context.Process(target=_run, args=child)
            self.process.start()
        self.pid = self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, signum: signal.Signals) -> None:
        assert self.pid is not None
        os.kill(self.pid, signum)

    def communicate(self, timeout: float = SECONDS) -> tuple[str, str]:
        """What it wrote until its end; a process that hangs is killed."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        out, err = ((self.outputs / name).read_text(errors="replace") for name in ("out", "err"))
        return out, err

    def outcome(self) -> Outcome:
        """What it left, once it has ended."""
        out, err = self.communicate()
        return Outcome(self.returncode, out, err)

    def first_line(self) -> str:
        """The first line that it prints; empty if it ends without one."""
        while self.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                if "\n" in (text := (self.outputs / "out").read_text()):
                    return text.partition("\n")[0]
            time.sleep(0.05)
        return ""


@contextlib.contextmanager
def started_with_this_project() -> Iterator[None]:
    """The process that all others are forked from, started by the first of them, imports this project's modules."""
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "OMP_NUM_THREADS")}
    os.environ |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _run(
    function: Callable[..., int],
    args: tuple[Any, ...],
    folder: Path,
    outputs: Path,
    environment: dict[str, str],
) -> None:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(outputs / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    multiprocessing.set_start_method(None, force=True)  # the workers of its loaders start as anywhere else
    sys.path.insert(0, str(folder))  # as `python -m` would; models of one's own lie there
    if "RANK" in environment:
        from pytorch_lightning.utilities.rank_zero import rank_zero_only

        rank_zero_only.rank = int(environment["RANK"])
    sys.exit(function(*args))


def train_py(*words: str) -> int:
    """`python train.py WORDS`."""
    sys.argv = [str(ROOT / "train.py"), *words]

    from cli import main

    return main(words)


def run(words: list[str], folder: Path, **environment: str) -> Outcome:
    """Run one command in `folder`."""
    return Forked(train_py, *words, folder=folder, **environment).outcome()


def run_two(function: Callable[..., int], *args: Any, folder: Path) -> str:
    """Run a function in two processes that find each other, as torchrun starts them; what the first printed."""
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "none"}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        Forked(function, *args, folder=folder, RANK=rank, LOCAL_RANK=rank, **common) for rank in ("0", "1")
    ]
    outcomes = [rank.outcome() for rank in ranks]
    assert [each.code for each in outcomes] == [0, 0], "\n".join(each.err[-3000:] for each in outcomes)
    return outcomes[0].out


def start_alone(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """`python train.py WORDS` in a process that does its own imports."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
