"""Interrupt training in every way of training, resume it with `fit --resume`, and compare with an undisturbed run.

python benchmarks/kill_and_resume.py                     resume from 50 of the checkpoints that one run can write
python benchmarks/kill_and_resume.py --random            50 runs, each killed at one or two random moments with `kill -9`
python benchmarks/kill_and_resume.py --modes SWA dict    only the modes whose name contains one of these words
python benchmarks/kill_and_resume.py --list              the names of all modes
python benchmarks/kill_and_resume.py --times 4 --write   fewer; the results go into the table of docs/resume.md

Equal means `torch.equal` for the weights and for the state of the optimizers and schedules, and the same text for every
figure in metrics.csv and every scalar that TensorBoard shows (`benchmarks/equality.py`). A resumed run takes one or two
seconds, because it is forked from a process that has imported everything.
"""

import argparse
import logging
import os
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1]))  # the configs name classes in benchmarks/

from benchmarks.report import DOCS, write_between
from benchmarks.resume_modes import MODES, Mode
from benchmarks.resume_trials import Result, kill_at_random, resume_everywhere

ROOT = Path(__file__).parents[1]
HEAD = ["| way of training | resumed from its checkpoints | killed at random moments |", "|---|---|---|"]
UNKNOWN = "-"


def write_images() -> None:
    """Write images like MNIST's: a bright bar, lower in the image for higher labels."""
    generator = np.random.default_rng(0)
    for prefix, count in (("train", 160), ("t10k", 40)):
        labels = generator.permutation(np.arange(count) % 10).astype(np.uint8)
        images = generator.integers(0, 60, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 + 2 * label : 6 + 2 * label, 4:24] = 255
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
            Path("data").mkdir(exist_ok=True)
            Path(f"data/{prefix}-{kind}-ubyte").write_bytes(header + values.tobytes())


def measure(name: str, mode: Mode, options: argparse.Namespace) -> Result:
    """Interrupt one mode; prints what went wrong, and the result."""
    if options.random:
        trials = kill_at_random(name, mode, options.times, random.Random(f"{options.seed} {name}"))
    else:
        trials = resume_everywhere(name, mode, options.times)
    for result in track(trials, description=f"{name:42}", total=options.times):
        if result.wrong and is_promised(mode, options.random):
            print(f"  {name}: {result.wrong.pop()}", flush=True)
    doing = ", ".join(f"{count} in {phase}" for phase, count in result.kills.most_common())
    print(f"{name}: {cell(result, mode, options.random)}{f' ({doing})' if doing else ''}", flush=True)
    return result


def is_promised(mode: Mode, at_random: bool) -> bool:
    """Whether every resumed run of a mode is to be equal. From within an epoch, a stream cannot be."""
    return mode.promised == "everywhere" or (mode.promised == "between epochs" and not at_random)


def cell(result: Result, mode: Mode, at_random: bool) -> str:
    """A result in the table."""
    kills = f" ({result.kills.total()} kills)" if at_random else ""
    where = " between epochs" if mode.promised == "between epochs" and not at_random else ""
    remark = "" if is_promised(mode, at_random) else "; not promised"
    return f"{result.good} of {result.times}{where}{kills}{remark}"


def write_table(column: int, cells: dict[str, str], docs: Path = DOCS) -> None:
    """Put new cells into one column of the table in docs/resume.md; what was not measured now stays."""
    rows = {name: [UNKNOWN, UNKNOWN] for name in MODES}
    for line in (docs / "resume.md").read_text(encoding="utf-8").splitlines():
        name, *old = [part.strip() for part in line.strip("|").split("|")]
        if name in rows and len(old) == 2:
            rows[name] = old
    for name, new in cells.items():
        rows[name][column] = new
    write_between(
        "resume", [*HEAD, *(f"| {name} | {' | '.join(both)} |" for name, both in rows.items())], docs
    )


def main() -> int:
    """Interrupt the chosen modes; returns 0 if every run ended as was promised."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--random", action="store_true", help="kill at random moments")
    parser.add_argument("--modes", nargs="+", default=[""], metavar="WORD", help="default: all")
    parser.add_argument("--list", action="store_true", help="print the names of the modes")
    parser.add_argument("--times", type=int, default=50, help="resumed runs of each mode")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--write", action="store_true", help="write docs/resume.md after each mode")
    options = parser.parse_args()
    chosen = {name: mode for name, mode in MODES.items() if any(word in name for word in options.modes)}
    if options.list:
        print("\n".join(chosen))
        return 0
    torch.set_num_threads(1)
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it reports every hidden step
    broken = []
    memory = Path("/dev/shm")  # a disk has to be waited for at every checkpoint
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        os.chdir(folder)
        write_images()
        for name, mode in chosen.items():
            result = measure(name, mode, options)
            if result.good != result.times and is_promised(mode, options.random):
                broken.append(name)
            if options.write:
                write_table(int(options.random), {name: cell(result, mode, options.random)})
        os.chdir(ROOT)
    print(f"{len(chosen) - len(broken)} of {len(chosen)} modes as promised", *broken, sep="\n  ")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
