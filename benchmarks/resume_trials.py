"""Two ways to interrupt a training and resume it: from every checkpoint of one run, or after `kill -9` at any moment."""

import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
import torch.utils.tensorboard  # before the forks
import yaml

from benchmarks.equality import difference, difference_in_state
from benchmarks.forks import Job
from benchmarks.killed_training import SaveEverywhere
from benchmarks.resume_modes import Mode
from cli import main as train
from cli.build import build
from cli.request import prepare
from runtime.resume import FIGURES, NOTHING, PART_OF_A_STEP, lost_by_resuming


@dataclass
class Result:
    """How many resumed runs of one mode ended as the undisturbed one did, and what was wrong with the others."""

    times: int = 0
    good: int = 0
    kills: Counter[str] = field(default_factory=Counter)  # by what the run was doing
    wrong: list[str] = field(default_factory=list)

    def add(self, what: str, odd: str) -> None:
        """Count one resumed run; `odd` is what was wrong with it."""
        self.times += 1
        self.good += not odd
        if odd:
            self.wrong.append(f"{what}: {odd}")


class Undisturbed:
    """A run of a mode that nobody interrupts; it must say what it cannot promise.

    Args:
        name: of the mode.
        saves_everywhere: writes a checkpoint, with a copy of the run, wherever a callback can.

    Raises:
        SystemExit: if it fails.
    """

    def __init__(self, name: str, mode: Mode, *, saves_everywhere: bool) -> None:
        self.mode = mode
        self.slug = re.sub(r"\W+", "_", name).strip("_")
        self.folder = Path("runs", f"{self.slug}_whole", "version_0")
        self.copies = Path("runs", f"{self.slug}_copies")
        self.config = Path(f"{self.slug}.yaml")
        parallel = {"strategy": "ddp", "devices": mode.processes} if mode.processes > 1 else {}
        trainer = {**mode.config["trainer"], **parallel}
        self.config.write_text(yaml.safe_dump({**mode.config, "trainer": trainer}))
        words = ["fit", "--config", str(self.config), "--run_name", f"{self.slug}_whole"]
        build(prepare(words), with_trainer=False)  # what all forks need is imported once, here
        job = Job(partial(self._save_everywhere if saves_everywhere else train, words), mode.processes)
        job.start()
        job.wait(until_training=True)
        begun = time.monotonic()
        job.wait()
        self.seconds = time.monotonic() - begun
        if failure := job.failure():
            raise SystemExit(f"{name}: {failure}")
        if mode.says not in Path("log_0.txt").read_text():
            raise SystemExit(f"{name}: the run does not say at its start that {mode.says}")

    def _save_everywhere(self, words: list[str]) -> int:
        build(prepare(words), callbacks=[SaveEverywhere(self.folder, self.copies)]).fit()
        return 0


def resume_everywhere(name: str, mode: Mode, times: int) -> Iterator[Result]:
    """Resume from every checkpoint that a run can write, as far as they lose nothing or only figures.

    Args:
        times: how many of them, spread over the run.

    Yields:
        The result so far after each.
    """
    whole, result = Undisturbed(name, mode, saves_everywhere=True), Result()
    found = sorted(whole.copies.iterdir(), key=lambda path: int(path.name))
    usable = [copy for copy in found if is_usable(copy, found[-1], mode)]
    for number in range(min(times, len(usable))):
        copy = usable[number * len(usable) // min(times, len(usable))]
        lost = lost_by_resuming(checkpoint_of(copy))
        if number % 2:  # killed much later: all that the run had written is there, except its end
            leave_out = shutil.ignore_patterns("checkpoints", ".lock", "end.json")
            shutil.copytree(whole.folder, copy, ignore=leave_out, dirs_exist_ok=True)
        job = Job(partial(train, ["fit", "--resume", str(copy)]), mode.processes)
        job.start()
        job.wait()
        odd = job.failure()
        if not odd and lost == NOTHING:
            odd = difference(whole.folder, copy, by_row=False)
        elif not odd:
            odd = difference_in_state(whole.folder, copy)
        result.add(f"checkpoint {copy.name} of {len(found)}", odd)
        yield result


def checkpoint_of(run: Path) -> dict:
    """The newest checkpoint of a run."""
    return torch.load(run / "checkpoints/last.ckpt", weights_only=True)


def is_usable(copy: Path, last: Path, mode: Mode) -> bool:
    """Whether a run that is resumed from this checkpoint is to end like one that was not interrupted."""
    checkpoint = checkpoint_of(copy)
    lost = lost_by_resuming(checkpoint)
    steps = checkpoint["global_step"], checkpoint_of(last)["global_step"]
    if lost == PART_OF_A_STEP or (lost == FIGURES and steps[0] == steps[1]):
        return False  # it says so itself, and `--resume` prefers another
    epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
    return mode.promised != "between epochs" or epochs["started"] == epochs["processed"]


def kill_at_random(name: str, mode: Mode, times: int, dice: random.Random) -> Iterator[Result]:
    """Kill a run once or twice with all its processes, then let it finish; again and again.

    Yields:
        The result so far after each run.
    """
    whole, result = Undisturbed(name, mode, saves_everywhere=False), Result()
    for number in range(times):
        folder = Path("runs", f"{whole.slug}_{number}", "version_0")
        phases, odd = killed_and_finished(whole, folder, dice)
        odd = odd or difference(whole.folder, folder)
        result.kills.update(phases)
        result.add(f"killed in {', '.join(phases)}", odd)
        yield result


def killed_and_finished(whole: Undisturbed, folder: Path, dice: random.Random) -> tuple[list[str], str]:
    """One run with its kills; returns what it was doing each time, and what it wrote last if it failed."""
    phases: list[str] = []
    while not phases:  # a run that ended before the kill does not count
        shutil.rmtree(folder.parent, ignore_errors=True)
        for _ in range(dice.randint(1, 2)):
            job = Job(partial(train, words_for(whole, folder)), whole.mode.processes)
            job.start()
            if dice.random() > 0.1:  # the others are killed while they start
                job.wait(until_training=True)
            if job.wait(dice.uniform(0, 0.9 * whole.seconds)):
                if failure := job.failure():
                    return phases, failure
                break
            phases.append(job.kill())
    job = Job(partial(train, words_for(whole, folder)), whole.mode.processes)
    job.start()
    job.wait()
    return phases, job.failure()


def words_for(whole: Undisturbed, folder: Path) -> list[str]:
    """The words of a new run, or of one that resumes if there is a checkpoint that says that it is exact.

    Before the first exact one, a callback may have written another; `--resume` warns of it, and nothing is lost yet.
    """
    paths = folder.glob("checkpoints/*.ckpt")
    if any(lost_by_resuming(torch.load(path, weights_only=True)) == NOTHING for path in paths):
        return ["fit", "--resume", str(folder), "--debug"]
    shutil.rmtree(folder, ignore_errors=True)
    return ["fit", "--config", str(whole.config), "--run_name", folder.parent.name, "--debug"]
