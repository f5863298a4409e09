"""Run every experiment in full, compare it with its goal and with a reference, and print the table of results.

python benchmarks/reproduce.py                        all of them
python benchmarks/reproduce.py rings titanic_full     some of them
python benchmarks/reproduce.py --write                all, and put them into docs/results.md and the configs
python benchmarks/reproduce.py rings --write          only these rows, if the others come from the same machine

Each figure comes from `train.py fit` followed by `train.py test` (or `validate`) on the checkpoint, as a user would run
them. The seconds are those of `fit` with its pictures, without Python's start; `--write` puts the same ones into the
table and into the line `# Takes ...` of each config. References are computed on the same rows
(`benchmarks/references.py`): by scikit-learn or NumPy if they have the model, else by the same network in a hand-written
loop.
"""

import argparse
import contextlib
import io
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from rich.progress import track
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from benchmarks.references import (
    Figures,
    Reference,
    coefficient_error,
    hand_written_loop,
    sklearn_accuracy,
    sklearn_folds,
    textbook_loss,
)
from benchmarks.report import ROOT, cores, duration, machine, write_between, write_time
from cli.build import Run, build
from cli.request import prepare


@dataclass(frozen=True)
class Experiment:
    """One row of the table.

    Args:
        config: its name in `configs/`.
        goals: what must be reached, as {"accuracy": ">= 0.97"}.
        title: what is special about this row.
        runs: flags of each run; figures are means over the runs.
        command: "test", or "validate" if the figure comes from the validation split.
        checkpoint: "best", or "last" if the best would be chosen on the same rows that are measured.
        measure: further figures, from the trained model.
        reference: what made the reference, and its figure.
    """

    config: str
    goals: dict[str, str]
    title: str = ""
    runs: list[list[str]] = field(default_factory=lambda: [[]])
    command: str = "test"
    checkpoint: str = "best"
    measure: Callable[[Run], Figures] = lambda cli: {}
    reference: Reference | None = None

    @property
    def name(self) -> str:
        """Its first cell in the table."""
        return f"`{self.config}`" + (f", {self.title}" if self.title else "")


def count_verdicts(cli: Run) -> Figures:
    """How many problems `Diagnosis` found in the run."""
    verdicts = json.loads((cli.folder / "diagnosis.json").read_text())["verdicts"]
    return {"verdicts": sum(verdict["severity"] != "info" for verdict in verdicts)}


FOLDS = [[f"--data.split_seed={seed}", f"--data.fold={fold}"] for seed in range(10) for fold in range(5)]
EXPERIMENTS = [
    Experiment(
        "titanic_logistic",
        {"loss": "<= 0.5087", "coefficient error": "<= 0.01"},
        measure=coefficient_error,
        reference=textbook_loss,
    ),
    Experiment(
        "titanic_mlp",
        {"loss": "<= 0.5045", "accuracy": ">= 0.79"},
        reference=hand_written_loop("loss"),
    ),
    Experiment(
        "titanic_full",
        {"accuracy": ">= 0.83"},
        title="5 folds, split seeds 0 to 9",
        runs=FOLDS,
        checkpoint="last",
        reference=sklearn_folds,
    ),
    Experiment(
        "titanic_deep", {"verdicts": ">= 1"}, title="sigmoid: the gradient vanishes", measure=count_verdicts
    ),
    Experiment(
        "titanic_deep",
        {"verdicts": "<= 0"},
        title="relu with He weights: healthy",
        runs=[["--model.activation=relu", "--model.init=he"]],
        measure=count_verdicts,
    ),
    Experiment(
        "linear_regression",
        {"coefficient error": "<= 0.05", "mse": "<= 200"},
        measure=coefficient_error,
        reference=textbook_loss,
    ),
    Experiment(
        "linear_regression",
        {"coefficient error": "<= 0.05", "mse": "<= 200"},
        title="3 features",
        runs=[["--data.num_features=3"]],
        measure=coefficient_error,
        reference=textbook_loss,
    ),
    Experiment("nonlinear_regression", {"mse": "<= 0.05"}, reference=hand_written_loop("mse")),
    Experiment("damped_sine", {"mse": "<= 0.25"}, reference=hand_written_loop("mse")),
    Experiment("damped_sine_large", {"mse": "<= 0.01"}, reference=hand_written_loop("mse")),
    Experiment(
        "circles",
        {"accuracy": ">= 0.97"},
        checkpoint="last",
        reference=sklearn_accuracy(lambda: MLPClassifier((5,), max_iter=2000, random_state=0)),
    ),
    Experiment(
        "blobs",
        {"accuracy": ">= 0.97"},
        checkpoint="last",
        reference=sklearn_accuracy(lambda: MLPClassifier((5,), max_iter=2000, random_state=0)),
    ),
    Experiment("rings", {"loss": "<= 0.01"}, reference=hand_written_loop("loss")),
    Experiment("rings", {"loss": ">= 0.1"}, title="2 hidden units fail", runs=[["--model.hidden_sizes=[2]"]]),
    Experiment("rings", {"loss": ">= 0.1"}, title="1 hidden unit fails", runs=[["--model.hidden_sizes=[1]"]]),
    Experiment(
        "mnist_4v9_logistic",
        {"accuracy": ">= 0.968"},
        command="validate",
        checkpoint="last",
        reference=sklearn_accuracy(lambda: LogisticRegression(max_iter=200)),
    ),
    Experiment(
        "mnist_4v9_mlp",
        {"accuracy": ">= 0.982"},
        command="validate",
        checkpoint="last",
        reference=sklearn_accuracy(lambda: MLPClassifier((50,), max_iter=30, random_state=0)),
    ),
    Experiment("mnist_mlp", {"accuracy": ">= 0.978"}, reference=hand_written_loop("accuracy")),
    Experiment("mnist_convnet", {"accuracy": ">= 0.990"}, reference=hand_written_loop("accuracy")),
    Experiment(
        "mnist_best",
        {"accuracy": ">= 0.9965"},
        title="3 seeds",
        runs=[[f"--seed_everything={seed}"] for seed in (42, 1, 2)],
    ),
    Experiment(
        "mnist_fast",
        {"accuracy": ">= 0.990"},
        title="10 seeds",
        runs=[[f"--seed_everything={seed}"] for seed in range(10)],
    ),
    Experiment(
        "mnist_autoencoder",
        {"mse": "<= 0.0075", "neighbor_agreement": ">= 0.92"},
        reference=hand_written_loop("mse"),
    ),
    # Its goal is to be better than the dense autoencoder on both.
    Experiment("mnist_conv_autoencoder", {"mse": "<= 0.00506", "neighbor_agreement": ">= 0.944"}),
    Experiment("trend_rnn", {"mse": "<= 59.2"}, checkpoint="last"),
]
NAMES = [experiment.name for experiment in EXPERIMENTS]  # in the order of the table
HEADER = "| experiment | must reach | reached | reference | training |\n|---|---|---|---|---|"


def run(experiment: Experiment, flags: list[str], shared: list[str]) -> tuple[Figures, float, Run]:
    """Train, then evaluate the checkpoint; returns the figures, the seconds of the training, and the run."""
    config = f"--config={ROOT / 'configs' / experiment.config}.yaml"
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        trained = build(prepare(["fit", config, *shared, *quiet, *flags]))
        trained.fit()
        seconds = time.perf_counter() - started
        checkpoint = trained.folder / "checkpoints" / f"{experiment.checkpoint}.ckpt"
        tested = build(prepare([experiment.command, f"--ckpt_path={checkpoint}", *quiet]))
        getattr(tested, experiment.command)()
    metrics = tested.trainer.callback_metrics
    figures = {name.partition("/")[2]: float(value) for name, value in metrics.items()}
    return {**figures, **experiment.measure(tested)}, seconds, trained


def row(experiment: Experiment, shared: list[str]) -> tuple[list[str], bool]:
    """Cells of one row of the table, and whether every goal was reached."""
    results = [
        run(experiment, flags, shared) for flags in track(experiment.runs, experiment.config, transient=True)
    ]
    figures = {name: fmean(result[0][name] for result in results) for name in results[0][0]}
    seconds = fmean(result[1] for result in results)
    met = all(holds(figures[name], goal) for name, goal in experiment.goals.items())
    reached = ", ".join(f"{name} {figures[name]:.5g}" for name in experiment.goals)
    goals = ", ".join(f"{name} {goal}" for name, goal in experiment.goals.items())
    reference = ""
    if experiment.reference is not None:
        source, value = experiment.reference(results[-1][2])
        reference = f"{value:.5g} ({source})"
    if "baseline_mse" in figures:
        reference = f"{figures['baseline_mse']:.5g} (last difference repeated)"
    reached = ("" if met else "**missed:** ") + reached
    return [experiment.name, goals, reached, reference, duration(seconds)], met


def holds(figure: float, goal: str) -> bool:
    """Whether a figure satisfies a goal such as ">= 0.97"."""
    relation, bound = goal.split()
    return figure >= float(bound) if relation == ">=" else figure <= float(bound)


def rows_on_page() -> tuple[dict[str, list[str]], str]:
    """The rows of docs/results.md by their first cell, and the line below them that describes the machine."""
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    block = page.partition("<!-- results -->\n")[2].partition("<!-- /results -->")[0].splitlines()
    rows = [re.split(r" *\| *", line.strip("| ")) for line in block if line.startswith("| `")]
    return {cells[0]: cells for cells in rows}, block[-1] if block else ""


def write(rows: dict[str, list[str]], measured: str) -> None:
    """Put the rows into docs/results.md, and the time of a config's first row, which has no flags, into the config."""
    lines = [HEADER, *("| " + " | ".join(rows[name]) + " |" for name in NAMES if name in rows), "", measured]
    write_between("results", lines, ROOT / "docs")
    as_it_stands = {experiment.config: experiment.name for experiment in reversed(EXPERIMENTS)}
    for config, name in as_it_stands.items():
        if name in rows:
            taken = f"{rows[name][-1]} on {cores(torch.get_num_threads())}"
            write_time(ROOT / "configs" / f"{config}.yaml", taken)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiments", nargs="*", help="names of configs; all if none is given")
    parser.add_argument("--write", action="store_true", help="put the results into docs/ and configs/")
    parser.add_argument("--data_dir", default="data", help="where MNIST is or goes")
    options = parser.parse_args(arguments)
    chosen = [e for e in EXPERIMENTS if not options.experiments or e.config in options.experiments]
    if unknown := set(options.experiments) - {experiment.config for experiment in EXPERIMENTS}:
        parser.error(f"there is no experiment {', '.join(sorted(unknown))}")
    measured = f"{machine(torch.get_num_threads())}; times are those of `fit`, pictures included."
    rows, before = rows_on_page()
    if options.write and len(chosen) < len(EXPERIMENTS) and before != measured:
        parser.error(f"the other rows are of another machine ({before}); --write them all")

    print(HEADER, flush=True)
    all_met = True
    for number, experiment in enumerate(chosen, start=1):
        progress = f"{number} of {len(chosen)}: {experiment.name}, runs: {len(experiment.runs)}"
        print(progress, file=sys.stderr, flush=True)
        shared = [f"--data.data_dir={options.data_dir}"] if experiment.config.startswith("mnist") else []
        rows[experiment.name], met = row(experiment, shared)
        all_met &= met
        print("| " + " | ".join(rows[experiment.name]) + " |", flush=True)
    if options.write:
        write(rows, measured)
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
