"""What a network reaches with the learning rate that `tune-lr`, Lightning or fastai suggests.

python benchmarks/tune_lr.py                     all experiments; half an hour on one free CPU core
python benchmarks/tune_lr.py rings blobs         some of them
python benchmarks/tune_lr.py --keep FOLDER       keep the measurements there, and measure only what it lacks
python benchmarks/tune_lr.py --keep FOLDER --write             also put the table into docs/tune_lr.md

For each of 20 seeds an experiment is trained in full with each of 13 rates, two per decade from 1e-4 to 10, and 1e-5 and
1e-6. Then come the range tests: ours, and those of Lightning and fastai with their own ranges. A suggestion reaches what
the nearest of the 13 rates reaches.

A cell is the median of the suggestions, and for how many seeds the suggestion failed: the network learns less than 90 %
of what it learns with the best of the 13 rates (by how much the lowest validation loss is below that of the network
trained with 1e-6), or nothing is suggested.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from rich.progress import Progress

from benchmarks.rate_rules import LIBRARIES, curve
from benchmarks.rate_runs import Measured, measure
from benchmarks.report import ROOT, machine, write_between
from cli.range_test import suggest
from runtime.errors import UsageError

SGD = [
    "--model.optimizer=SGD",
    "--model.optimizer.lr=0.1",
]  # instead of LBFGS, for which there is no range test
# The rule was chosen on these ...
CHOICE: dict[str, list[str]] = {
    "blobs": [],
    "circles": [],
    "linear_regression": SGD,
    "mnist_4v9_logistic": [],
    "titanic_logistic": SGD,
}
# ... and is judged on these.
JUDGMENT: dict[str, list[str]] = {
    "titanic_mlp": [],
    "titanic_full": [],
    "titanic_deep": ["--model.activation=relu", "--model.init=he", "--trainer.callbacks=null"],
    "rings": [],
    "damped_sine": [],
    "mnist_4v9_mlp": [],
}
SEEDS = range(20)
LEAST_LEARNED = 0.9  # of what the best rate learns
OURS = "**tune-lr**"


def suggestions(rule: str, measured: Measured) -> dict[str, float]:
    """What a rule suggests for each seed; NaN where it suggests nothing."""
    kind, formula = LIBRARIES.get(rule, ("ours", None))
    found = {}
    for seed, (rates, losses) in measured["curves"][kind].items():
        try:
            found[seed] = formula(*curve(rates, losses)) if formula else suggest(rates, losses)
        except (UsageError, ValueError, IndexError):  # the libraries' rules fail on a curve that is too short
            found[seed] = np.nan
    return found


def learned(measured: Measured, seed: str, rate: float) -> float:
    """Share of what the best rate learns that a suggestion learns; -infinity for none, and for a loss of NaN."""
    reached = {float(each): loss for each, loss in measured["reached"][seed].items()}
    if np.isnan(rate):
        return -np.inf
    loss = reached[min(reached, key=lambda each: abs(np.log(each / rate)))]
    start, best = reached[min(reached)], np.nanmin(list(reached.values()))
    return -np.inf if np.isnan(loss) else float((start - loss) / (start - best))


def row(rule: str, all_measured: dict[str, Measured]) -> str:
    """One line of the table."""
    cells, failed, total = [], 0, 0
    for measured in all_measured.values():
        found = suggestions(rule, measured)
        shares = [learned(measured, seed, found[seed]) for seed in measured["reached"]]
        fails = sum(share < LEAST_LEARNED for share in shares)
        cells.append(f"{np.nanmedian(list(found.values())):.1g}: {fails} of {len(shares)}")
        failed, total = failed + fails, total + len(shares)
    return f"| {rule} | {' | '.join(cells)} | {failed} of {total} |"


def table(all_measured: dict[str, Measured]) -> list[str]:
    """Rules down, experiments across."""
    names = [f"`{name}`" + (" (SGD)" if flags(name)[:1] == SGD[:1] else "") for name in all_measured]
    head = [f"| suggestion: failures | {' | '.join(names)} | all |", "|---" * (len(names) + 2) + "|"]
    return head + [row(rule, all_measured) for rule in (OURS, *LIBRARIES)]


def flags(name: str) -> list[str]:
    """Those of an experiment."""
    return {**CHOICE, **JUDGMENT}[name]


def measured_or_kept(names: list[str], keep: Path | None, data_dir: str) -> dict[str, Measured]:
    """The measurements of some experiments."""
    found = {}
    with Progress(transient=True) as progress:
        for name in names:
            kept = keep / f"{name}.json" if keep else None
            if kept and kept.exists():
                found[name] = json.loads(kept.read_text(encoding="utf-8"))
                continue
            words = [f"--config={ROOT / 'configs' / name}.yaml", "--trainer.accelerator=cpu", *flags(name)]
            words += [f"--data.data_dir={data_dir}"] if name.startswith("mnist") else []
            task = progress.add_task(name, total=1.0)
            found[name] = measure(
                words, SEEDS, lambda share, task=task: progress.update(task, completed=share)
            )
            progress.remove_task(task)
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(found[name]), encoding="utf-8")
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiments", nargs="*", help="names of configs; all if none is given")
    parser.add_argument("--keep", type=Path, help="folder of the measurements")
    parser.add_argument("--write", action="store_true", help="put the table into docs/tune_lr.md")
    parser.add_argument("--data_dir", default="data", help="where MNIST is or goes")
    options = parser.parse_args(arguments)
    known = [*CHOICE, *JUDGMENT]
    if unknown := set(options.experiments) - {*known}:
        parser.error(f"there is no experiment {', '.join(sorted(unknown))}")
    names = [name for name in known if name in (options.experiments or known)]
    lines = table(measured_or_kept(names, options.keep, options.data_dir))
    print("\n".join(lines))
    if options.write:
        write_between("tune_lr", [*lines, "", machine(torch.get_num_threads()) + "."], ROOT / "docs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
