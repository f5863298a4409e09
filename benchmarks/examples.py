"""Train every example in full, test its best checkpoint, and compare the figures with their goals.

python benchmarks/examples.py                       all of them; MNIST is in data/, or --data_dir
python benchmarks/examples.py segmentation vae      some of them
python benchmarks/examples.py --write               all, and put the seconds of `fit` into the configs' headers

The references in the headers are computed in `tests/examples/`.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from benchmarks.report import cores, duration, write_time
from benchmarks.reproduce import Experiment, holds, run
from cli.new import EXAMPLES, example_names

GOALS = {
    "diffusion": {"energy_distance": "<= 0.01"},
    "forecasting": {"mse": "<= 17.5"},
    "gan": {"quality": ">= 0.8", "clouds": ">= 8"},
    "language_model": {"loss": "<= 0.29"},
    "multi_label": {"loss": "<= 0.44"},
    "segmentation": {"jaccard_index": ">= 0.77"},
    "several_outputs": {"r2": ">= 0.87"},
    "vae": {"loss": "<= 157"},
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("examples", nargs="*", default=example_names(), help="all if none is given")
    parser.add_argument("--write", action="store_true", help="put the times into the configs")
    parser.add_argument("--data_dir", default="data", help="where MNIST is or goes")
    options = parser.parse_args(arguments)
    all_met = True
    for name in options.examples:
        goals = GOALS[name]
        flags = [f"--data.data_dir={options.data_dir}"] if name == "vae" else []
        figures, seconds, _ = run(Experiment(f"../examples/{name}/{name}", goals), flags, [])
        met = all(holds(figures[figure], goal) for figure, goal in goals.items())
        all_met &= met
        reached = ", ".join(f"{figure} {figures[figure]:.5g} ({goal})" for figure, goal in goals.items())
        print(f"{name:18}{'reached' if met else 'MISSED '}  {reached}; {duration(seconds)}", flush=True)
        if options.write:
            taken = f"{duration(seconds)} on {cores(torch.get_num_threads())}"
            write_time(EXAMPLES / name / f"{name}.yaml", taken)
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
