"""How fast this template trains small networks, compared with a hand-written loop and the usual ways with Lightning.

python benchmarks/speed.py                      the convolutional network, the MLP and Titanic; about 15 minutes
python benchmarks/speed.py mlp titanic          some of them
python benchmarks/speed.py fast                 how long `mnist_fast` trains; about a minute (see `fast.py`)
python benchmarks/speed.py ddp                  two processes against one on the same total batch; about 2 minutes
python benchmarks/speed.py --write              also put the table into docs/speed.md
python benchmarks/speed.py --device gpu         on a graphics card, with the step captured as a CUDA graph, too
python benchmarks/speed.py --quick              without the slowest ways, on a third of the images

A turn is an epoch with its validation, checkpoints and logs: 860 batches of 64 from MNIST (288 with the convolutional
network), or 500 full-batch steps on Titanic. A figure is the time over that of the raw loop in the same round (see
`interleave.py`): median and quartiles.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from rich.progress import track
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks import contenders
from benchmarks.fast import fast
from benchmarks.interleave import Contender, Ratio, time_interleaved
from benchmarks.problems import Problem
from benchmarks.report import ROOT, clock_options, machine, write_between

TITLES = {
    "conv": "conv 16-64-128, batch 64",
    "mlp": "MLP 784-100-10, batch 64",
    "titanic": "Titanic 2-2-1, full batch",
}
ROUNDS = {"conv": 6, "mlp": 12, "titanic": 16}
SLOW = (
    "raw loop, torchvision DataLoader",
    "the usual Lightning template",
)  # 6 and 14 times as long with the MLP
TWO_FEATURES = {"features": ["male", "Age"], "missing": "drop", "num_folds": None}


def problem(name: str, data_dir: str, quick: bool = False) -> Problem:
    mnist = {"data_dir": str(Path(data_dir).resolve()), "batch_size": 64}
    part = {**mnist, "subset": 18_432}
    if name == "conv":  # because an epoch takes half a minute
        return Problem("convnet", "MNISTDataModule", part)
    if name == "mlp":
        return Problem("mlp", "MNISTDataModule", part if quick else mnist)
    titanic = {**TWO_FEATURES, "batch_size": None, "passes_per_epoch": 500}
    return Problem("tiny_mlp", "TitanicDataModule", titanic, lr=0.05)


def all_contenders(name: str, data_dir: str, device: str, quick: bool) -> dict[str, Contender]:
    """The contenders by their names in the table; the first is the baseline."""
    task = problem(name, data_dir, quick)
    by_hand, ours = (partial(way, task, device=device) for way in (contenders.by_hand, contenders.ours))
    chosen: dict[str, Contender] = {
        "raw loop": by_hand,
        "raw loop once more": by_hand,
        "raw loop, fused Adam": partial(by_hand, fused=True),
        "raw loop, torchvision DataLoader": partial(by_hand, data="torchvision"),
        "the usual Lightning template": partial(contenders.usual_template, task, device=device),
        "Lightning, everything off": partial(contenders.lightning_floor, task, device=device),
        "**this template, everything on**": ours,
        "the same, fused Adam": partial(ours, fused=True),
    }
    if name == "conv":
        chosen["**fast recipe, everything on**"] = partial(contenders.fast, task, device=device)
    if device == "gpu":
        graph = ["--graph=true"]
        chosen["raw loop, captured as a CUDA graph"] = partial(contenders.captured, task)
        chosen["**this template, `--graph true`**"] = partial(ours, flags=graph)
        chosen["the same, `--graph true` and fused Adam"] = partial(ours, fused=True, flags=graph)
        if name == "conv":
            fast = partial(contenders.fast, task, device=device, flags=graph)
            chosen["**fast recipe, `--graph true`**"] = fast
    left_out = SLOW if quick else SLOW[:1] if name == "titanic" else ()
    return {way: contender for way, contender in chosen.items() if way not in left_out}


def table(results: dict[str, dict[str, Ratio]]) -> list[str]:
    """Rows of Markdown: one per contender, with a column for each problem."""
    names = list(dict.fromkeys(contender for ratios in results.values() for contender in ratios))
    heads = ["", *(TITLES[name] for name in results)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for contender in names:
        cells = [str(ratios.get(contender, "")) for ratios in results.values()]
        lines.append("| " + " | ".join([contender, *cells]) + " |")
    steps = (f"{TITLES[name]}: {ratios['raw loop'].seconds:.2f} s" for name, ratios in results.items())
    return [*lines, "", "A turn of the raw loop: " + ", ".join(steps) + "."]


def compare(names: list[str], options: argparse.Namespace) -> None:
    """Measure and print the main table."""
    results: dict[str, dict[str, Ratio]] = {}
    for name in names:
        results[name] = time_interleaved(
            all_contenders(name, options.data_dir, options.device, options.quick),
            options.rounds or ROUNDS[name],
            clock=options.clock,
            seldom=SLOW if name == "mlp" else (),
            prepare_together=options.device == "gpu",
            title=TITLES[name],
        )
        for contender, ratio in results[name].items():
            print(f"{TITLES[name]:26}  {contender:34}  {ratio}   {ratio.seconds:.3f} s", flush=True)
    lines = table(results)
    print("", *lines, "", machine(options.threads), sep="\n", flush=True)
    if options.write:
        write_between("speed", [*lines, "", machine(options.threads) + "."])


def ddp(options: argparse.Namespace) -> None:
    """Time of an epoch of `mnist_convnet` by two processes with 32 rows each, and by one with 64."""
    common = ["--config", str(ROOT / "configs" / "mnist_convnet.yaml"), "--trainer.max_epochs=4"]
    common += [f"--data.data_dir={Path(options.data_dir).resolve()}", "--data.subset=6000"]
    common += [f"--trainer.accelerator={options.device}", "--trainer.enable_progress_bar=false"]
    ways = {
        "one process, batch 64": [],
        "two processes, batch 32 each": [
            "--trainer.devices=2",
            "--trainer.strategy=ddp",
            "--data.batch_size=32",
        ],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "PYTHONPATH": str(ROOT)}
    for _ in track(range(options.rounds or 2), "one process and two", transient=True):
        for name, flags in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                words = [sys.executable, str(ROOT / "train.py"), "fit", *common, *flags]
                done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
                if done.returncode:
                    raise RuntimeError(done.stderr)
                events = next(Path(folder).glob("runs/*/*/events*"))
                times = [
                    event.wall_time for event in EventAccumulator(str(events)).Reload().Scalars("val/loss")
                ]
            seconds[name] += [after - before for before, after in pairwise(times)]
    one, two = (median(taken) for taken in seconds.values())
    print(
        f"an epoch of 5,500 images: one process {one:.2f} s, two processes {two:.2f} s, ratio {two / one:.2f}"
    )
    print(machine(options.threads))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", help=f"out of {', '.join(TITLES)}, fast, ddp; by default the first three"
    )
    parser.add_argument("--rounds", type=int, help="for fast, seeds")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="without the slowest ways, on fewer images")
    parser.add_argument("--data_dir", default="data", help="where MNIST is or goes")
    parser.add_argument("--write", action="store_true", help="put the table into docs/speed.md")
    parser.add_argument(
        "--flags", action="append", help="for fast, flags of `train.py fit` in one argument; may be repeated"
    )
    clock_options(parser)
    options = parser.parse_args()
    if unknown := set(options.parts) - {*TITLES, "fast", "ddp"}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    torch.set_num_threads(options.threads)
    names = [name for name in TITLES if name in options.parts] if options.parts else list(TITLES)
    if names:
        compare(names, options)
    if "fast" in options.parts:
        for flags in options.flags or [""]:
            fast(options.device, options.data_dir, options.rounds or 3, shlex.split(flags))
        print(machine(options.threads))
    if "ddp" in options.parts:
        ddp(options)


if __name__ == "__main__":
    main()
