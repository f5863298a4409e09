"""What 64 runs that train together cost, in units of one run: 8 learning rates x 8 seeds of small experiments.

python benchmarks/bulk.py                                     titanic_mlp
python benchmarks/bulk.py mnist_4v9_mlp --data.data_dir data  another; further flags go to both sides

One `fit` as `train.py` runs it, before and after the sweep, against the whole `sweep` of 64: its rehearsal, run
folders, table and pictures included. Processor time of this process beside wall time, which other work on the
machine stretches.
"""

import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cli import main
from cli.sweeps.command import main as sweep  # with all that is imported, before the clock starts

ROOT = Path(__file__).parents[1]
LEARNING_RATES = {
    "titanic_mlp": "model.optimizer.lr=0.005,0.01,0.02,0.03,0.05,0.07,0.1,0.2",
    "mnist_4v9_mlp": "model.scheduler.max_lr=0.0005,0.001,0.002,0.003,0.004,0.006,0.008,0.01",
}


def cost(command: Callable[[list[str]], int], words: list[str]) -> tuple[float, float]:
    """Processor and wall seconds of a command."""
    processor, wall = time.process_time(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        code = command(words)
    assert code == 0, words
    return time.process_time() - processor, time.perf_counter() - wall


def compare(name: str, flags: list[str]) -> None:
    """Print what both sides cost, and the ratio."""
    config = ["--config", str(ROOT / "configs" / f"{name}.yaml"), *flags]
    before = cost(main, ["fit", *config])
    together = cost(sweep, [*config, "--vary", LEARNING_RATES[name], "--sweep.seeds", "8"])
    after = cost(main, ["fit", *config])
    for kind, index in {"processor": 0, "wall": 1}.items():
        alone = min(before[index], after[index])
        print(
            f"{name}, {kind} time: one run {before[index]:.1f} and {after[index]:.1f} s, 64 together "
            f"{together[index]:.1f} s, ratio {together[index] / alone:.1f}"
        )


if __name__ == "__main__":
    given = sys.argv[1:]
    named = [word for word in given if word in LEARNING_RATES]
    others = [word for word in given if word not in LEARNING_RATES]
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        for each in named or ["titanic_mlp"]:
            compare(each, others)
