"""How long `mnist_fast` trains, and how well; called by `speed.py fast`."""

import contextlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

from benchmarks.report import ROOT
from cli.build import Run, build
from cli.request import prepare


def seconds_of_training(run: Run) -> float:
    """Train; returns the seconds from the first batch to the end of the last epoch."""
    times: list[float] = []
    run.model.on_train_start = run.model.on_train_end = lambda: times.append(time.perf_counter())
    run.fit()
    return times[-1] - times[-2]  # the check-up calls the hook before


def fast(device: str, data_dir: str, seeds: int, flags: Sequence[str] = ()) -> None:
    """Print the seconds of training, with its validations and checkpoints, and the accuracy on the test set.

    Args:
        device: "cpu" or "gpu".
        data_dir: where MNIST is or goes.
        seeds: how many runs.
        flags: further ones of `train.py fit`.
    """
    config = ROOT / "configs" / "mnist_fast.yaml"
    common = [
        f"--data.data_dir={Path(data_dir).resolve()}",
        f"--trainer.accelerator={device}",
        "--pictures=false",
        *flags,
    ]
    seconds, val_accuracies, accuracies = [], [], []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for seed in range(seeds):  # each run shows its own progress
            run = build(prepare(["fit", f"--config={config}", f"--seed_everything={seed}", *common]))
            seconds.append(seconds_of_training(run))
            val_accuracies.append(float(run.trainer.callback_metrics["val/accuracy"]))
            checkpoint = run.folder / "checkpoints" / "last.ckpt"
            tested = build(prepare(["test", f"--ckpt_path={checkpoint}"]))
            tested.test()
            accuracies.append(float(tested.trainer.callback_metrics["test/accuracy"]))
    print(f"mnist_fast {' '.join(flags)}, {device}, {seeds} seeds")
    print(f"first batch to last: {median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"after the first run: {median(seconds[1:] or seconds):.2f} s")
    print(
        f"validation accuracy {fmean(val_accuracies):.4f}, test accuracy {fmean(accuracies):.4f}", flush=True
    )
