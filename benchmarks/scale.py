"""How time and memory grow with the images and with the batch: writes docs/scale.md and docs/scale.png.

python benchmarks/scale.py                      about 4 minutes on one CPU core
python benchmarks/scale.py --data_dir DIR       where MNIST is

Each point is its own process, which runs `train.py fit` with everything on: logs, validation, diagnostics, checkpoints,
progress bar. Time is that of the second epoch. Memory is the process's peak minus what it held before it began (Python,
PyTorch and Lightning).
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from rich.progress import track

from benchmarks import contenders
from benchmarks.interleave import Worker
from benchmarks.problems import Problem
from benchmarks.report import ROOT, machine
from callbacks.pictures.style import drawing, legend_below, new_figure, to_png

IMAGES = (6_000, 12_000, 30_000, 60_000)
BATCHES = (16, 64, 256, 1024)
NETWORKS: dict[str, Callable[..., None]] = {
    "MLP 784-100-10": partial(contenders.ours, fused=True),
    "conv 16-64-128, fast recipe": contenders.fast,
}
Point = tuple[float, float]  # seconds per epoch, megabytes


def measure(contender: Callable[..., None], data_dir: str, images: int, batch_size: int) -> Point:
    """Seconds of the second epoch, and the megabytes that the process needed."""
    data: dict[str, Any] = {"data_dir": data_dir, "subset": images, "batch_size": batch_size}
    worker = Worker(partial(contender, Problem("mlp", "MNISTDataModule", data)))
    try:
        preparations = worker.turn()
        worker.turn()
        second = worker.turn()
    finally:
        worker.stop()
    return second["wall"], second["peak"] - preparations["began"]


@drawing()
def plot(results: dict[str, tuple[list[Point], list[Point]]], path: Path) -> None:
    """Top against the number of images, bottom against the batch size; left seconds, right megabytes."""
    figure = new_figure(8.0, 6.0)
    axes = figure.subplots(2, 2)
    for name, (by_images, by_batch) in results.items():
        for row, (xs, points) in enumerate(((IMAGES, by_images), (BATCHES, by_batch))):
            for column in range(2):
                axes[row][column].plot(xs, [point[column] for point in points], "o-", label=name)
    for row, (label, ticks) in enumerate((("images (batch 64)", IMAGES), ("batch (60,000 images)", BATCHES))):
        for column, quantity in enumerate(("seconds per epoch", "megabytes")):
            axis = axes[row][column]
            axis.set(xlabel=label, ylabel=quantity, xscale="log", yscale="log" if column == 0 else "linear")
            axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            axis.minorticks_off()
            axis.set_ylim(bottom=None if column == 0 else 0)
            axis.grid(alpha=0.3)
    legend_below(figure, axes[0][0])
    path.write_bytes(to_png(figure))


def page(results: dict[str, tuple[list[Point], list[Point]]], threads: int) -> str:
    """The text of docs/scale.md."""
    lines = ["# How time and memory grow", ""]
    lines += [
        "`python benchmarks/scale.py` wrote this page. Each point is `train.py fit` with everything on: an epoch's"
    ]
    lines += [
        "training, validation, logs, diagnostics and checkpoints; memory is what the process took at most besides"
    ]
    lines += ["Python, PyTorch and Lightning. Images are held as bytes, 47 MB for all 60,000.", ""]
    lines += [f"{machine(threads)}.", "", "![seconds and megabytes against images and batch](scale.png)", ""]
    for heading, xs, which in (("images, batch 64", IMAGES, 0), ("batch, 60,000 images", BATCHES, 1)):
        lines += ["| " + " | ".join([heading, *(f"{x:,}" for x in xs)]) + " |", "|---" * (len(xs) + 1) + "|"]
        for name, series in results.items():
            cells = (f"{seconds:.2f} s, {megabytes:.0f} MB" for seconds, megabytes in series[which])
            lines.append("| " + " | ".join([name, *cells]) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", default="data", help="where MNIST is or goes")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the page")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = dict.fromkeys([*((images, 64) for images in IMAGES), *((60_000, batch) for batch in BATCHES)])
    points = {
        (name, *size): measure(NETWORKS[name], str(Path(options.data_dir).resolve()), *size)
        for name, size in track(
            [(name, size) for name in NETWORKS for size in sizes], "scale", transient=True
        )
    }
    results = {
        name: (
            [points[name, images, 64] for images in IMAGES],
            [points[name, 60_000, batch] for batch in BATCHES],
        )
        for name in NETWORKS
    }
    plot(results, options.out / "scale.png")
    (options.out / "scale.md").write_text(page(results, options.threads))
    print(page(results, options.threads))


if __name__ == "__main__":
    main()
