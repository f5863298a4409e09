"""`train.py` in processes forked from one that has done the imports: the same code and output, in a tenth of the time."""

import multiprocessing
import os
import sys
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 120  # whatever takes longer hangs

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["cli.build"])


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code, and what it wrote."""

    code: int | None
    out: str
    err: str


def run(words: list[str], folder: Path, outputs: Path, **environment: str) -> Outcome:
    """Run one command in `folder`; `outputs` is another folder, for its two streams."""
    process = context.Process(target=_child, args=(words, folder, outputs, environment))
    process.start()
    return outcome_of(process, outputs)


def outcome_of(process: BaseProcess, outputs: Path) -> Outcome:
    """Wait for a process that writes its two streams into a folder."""
    process.join(SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
    out, err = ((outputs / name).read_text(errors="replace") for name in ("out", "err"))
    return Outcome(process.exitcode, out, err)


def _child(words: list[str], folder: Path, outputs: Path, environment: dict[str, str]) -> None:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(outputs / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(folder)
    for name in ("LIGHTNING_INSIDE_RUN", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)  # left by other tests
    os.environ.update(environment)
    sys.argv = [str(ROOT / "train.py"), *words]
    sys.path.insert(0, str(folder))  # as `python -m` would; models of one's own lie there

    from cli import main

    sys.exit(main(words))
