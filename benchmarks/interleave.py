"""Compare programs on a machine that is never quiet: they take turns, and neighboring turns are compared.

Each contender is its own process, forked from this one; while one works, the others wait for the baton. In a round each
has one turn. The order is reversed from round to round, so that a machine that slows down slows all of them. The result
is a contender's time over the baseline's in the same round: median and quartiles over the rounds. Let the baseline take
part twice: the ratio of the two and its quartiles show how much of the other ratios is noise.

The place of its memory makes a process up to 7% faster or slower for its whole life, so the processes can be replaced
by new ones every few rounds.
"""

import contextlib
import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import ClassVar

import torch
from rich.progress import Progress

EndTurn = Callable[[], None]
Turns = dict[str, float]  # of one round: seconds by contender
Contender = Callable[[EndTurn], None]  # works forever, and calls its argument after each turn's work
WARM_UP = 2  # rounds that do not count, because the first turn includes the preparations


@dataclass(frozen=True)
class Ratio:
    """A contender's time over the baseline's: median and quartiles over the rounds; also its median turn."""

    middle: float
    low: float
    high: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.low:.2f} to {self.high:.2f})"


def time_interleaved(
    contenders: dict[str, Contender],
    rounds: int,
    *,
    clock: str = "wall",
    seldom: Collection[str] = (),
    rounds_per_process: int | None = None,
    prepare_together: bool = False,
    title: str = "taking turns",
) -> dict[str, Ratio]:
    """Time the contenders' turns.

    Args:
        contenders: by name; the first is the baseline.
        rounds: 1 or more.
        clock: "wall", or "cpu" for the CPU time of a contender's process and its workers alone.
        seldom: contenders that are too slow for every round. They take part in every fourth; with `rounds_per_process`,
            in the rounds of every fourth generation of processes.
        rounds_per_process: rounds after which the processes are replaced.
        prepare_together: let all have their first turn at once, where there are cores for that.
        title: of the progress bar.
    """
    turns: list[Turns] = []
    with Progress(transient=True, auto_refresh=False) as bar:
        task = bar.add_task(title, total=rounds)
        for generation, first in enumerate(range(0, rounds, rounds_per_process or rounds)):
            chosen = [name for name in contenders if name not in seldom or generation % 4 == 0]
            with contextlib.ExitStack() as stack:
                workers = {name: Worker(contenders[name]) for name in chosen}
                for worker in workers.values():
                    stack.callback(worker.stop)
                if prepare_together:
                    for worker in workers.values():
                        worker.begin()
                    for worker in workers.values():
                        worker.end()
                begin = -WARM_UP + prepare_together
                for number in range(begin, min(rounds_per_process or rounds, rounds - first)):
                    order = [name for name in chosen if name not in seldom or number < 0 or number % 4 == 0]
                    turn = {name: workers[name].turn()[clock] for name in order[:: -1 if number % 2 else 1]}
                    if number >= 0:
                        turns.append(turn)
                        bar.update(task, advance=1, refresh=True)
    return {name: _ratio(name, next(iter(contenders)), turns) for name in contenders}


def _ratio(name: str, baseline: str, turns: list[Turns]) -> Ratio:
    ratios = [turn[name] / turn[baseline] for turn in turns if name in turn]
    low, middle, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return Ratio(middle, low, high, median(turn[name] for turn in turns if name in turn))


class Worker:
    """A contender's process, idle except during its turns."""

    batons: ClassVar[list[Connection]] = []  # ends in this process; a child that kept them would outlive it

    def __init__(self, contender: Contender) -> None:
        context = multiprocessing.get_context("fork")
        self.baton, theirs = context.Pipe()
        self.batons.append(self.baton)
        # No daemon: that may have no processes of its own, such as a DataLoader's workers.
        self.process = context.Process(target=_serve, args=(contender, theirs), daemon=False)
        self.process.start()
        theirs.close()

    def turn(self) -> dict[str, float]:
        """Let it work for one turn; returns the seconds on both clocks, and its peak megabytes before and after."""
        self.begin()
        return self.end()

    def begin(self) -> None:
        """Let it work."""
        self.baton.send("go")

    def end(self) -> dict[str, float]:
        """Wait for the end of its turn; returns what `turn` does."""
        answer = self.baton.recv()
        if isinstance(answer, str):
            raise RuntimeError(f"a contender failed:\n{answer}")
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.batons.remove(self.baton)
        self.baton.close()


def _serve(contender: Contender, baton: Connection) -> None:
    """Run a contender whose output goes nowhere, but is drawn as for a terminal."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    for inherited in Worker.batons:
        inherited.close()
    os.environ["FORCE_COLOR"] = "1"  # for Rich's progress bars
    baton.recv()
    before = _state()

    def end_turn() -> None:
        nonlocal before
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        after = _state()
        taken = {name: after[name] - before[name] for name in ("wall", "cpu")}
        baton.send({**taken, "began": before["peak"], "peak": after["peak"]})
        baton.recv()
        before = _state()

    try:
        contender(end_turn)
    except BaseException:
        baton.send(traceback.format_exc())


def _state() -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": time.perf_counter(), "cpu": time.process_time() + _cpu_of_workers(), "peak": peak}


def _cpu_of_workers() -> float:
    """Seconds that the processes of this one have computed so far, in user and system mode; see proc(5)."""
    seconds = 0.0
    for process in multiprocessing.active_children():
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds
