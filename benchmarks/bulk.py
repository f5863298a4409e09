"""The cost of 64 runs that train together, in units of one run: learning rates and seeds of small experiments.

python benchmarks/bulk.py                                     titanic_mlp
python benchmarks/bulk.py mnist_4v9_mlp --data.data_dir data  another; further flags go to both sides
python benchmarks/bulk.py --device gpu                        on a graphics card
python benchmarks/bulk.py --quick                             only 8 x 8 runs and one without pictures

One `fit` as `train.py` runs it, with pictures and without (a sweep draws none), is measured before and after two whole
sweeps: 8 learning rates x 8 seeds, and 64 learning rates with one seed. A sweep's rehearsal, run folders, table and
pictures are included. CPU time of this process is shown next to wall time, which other work on the machine stretches.
"""

import argparse
import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

from cli import main
from cli.sweep import main as sweep  # imports everything before the clock starts

ROOT = Path(__file__).parents[1]
RATES = {  # flag, smallest and largest
    "titanic_mlp": ("model.optimizer.lr", 0.005, 0.2),
    "mnist_4v9_mlp": ("model.optimizer.lr", 0.0005, 0.01),
}
FORMS = {"8 rates x 8 seeds": (8, 8), "64 rates x 1 seed": (64, 1)}
FITS = {"one run": [], "one run without pictures": ["--pictures=false"]}


def cost(command: Callable[[list[str]], int], words: list[str]) -> np.ndarray:
    """CPU seconds and wall seconds of a command."""
    processor, wall = time.process_time(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        code = command(words)
    assert code == 0, words
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return np.array([time.process_time() - processor, time.perf_counter() - wall])


def compare(name: str, flags: list[str], quick: bool) -> None:
    """Print the cost of all commands, and how many single runs a sweep is worth."""
    chosen = list(FITS)[1:] if quick else list(FITS)
    config = ["--config", str(ROOT / "configs" / f"{name}.yaml"), *flags]

    def fits() -> dict[str, np.ndarray]:
        return {label: cost(main, ["fit", *config, *FITS[label]]) for label in chosen}

    flag, low, high = RATES[name]
    before = fits()
    sweeps = {}
    for form, (num_rates, num_seeds) in list(FORMS.items())[: 1 if quick else None]:
        rates = ",".join(f"{rate:.4g}" for rate in np.geomspace(low, high, num_rates))
        words = ["--vary", f"{flag}={rates}", f"--sweep.seeds={num_seeds}", f"--run_name={name}_{num_seeds}"]
        sweeps[form] = cost(sweep, [*config, *words])
    after = fits()
    alone = {label: np.minimum(before[label], after[label]) for label in chosen}
    for index, kind in enumerate(("processor", "wall")):
        print(
            f"{name}, {kind} time: " + ", ".join(f"{label} {alone[label][index]:.1f} s" for label in chosen)
        )
        for form, seconds in sweeps.items():
            ratios = " and ".join(f"{seconds[index] / alone[label][index]:.1f}" for label in chosen)
            print(f"  {form}: {seconds[index]:.1f} s, {ratios} times as much")


def measure() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="only 8 x 8 runs and one without pictures")
    options, given = parser.parse_known_args()
    named = [word for word in given if word in RATES]
    flags = [word for word in given if word not in RATES] + [f"--trainer.accelerator={options.device}"]
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        for each in named or ["titanic_mlp"]:
            compare(each, flags, options.quick)


if __name__ == "__main__":
    measure()
