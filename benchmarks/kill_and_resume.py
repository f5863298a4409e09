"""Kill training with `kill -9` at random moments, resume with `fit --resume`, and compare with an undisturbed run.

python benchmarks/kill_and_resume.py                        50 trials: one process, tensors in memory and two workers
python benchmarks/kill_and_resume.py --processes 2          50 trials: two processes (DDP, gloo)
python benchmarks/kill_and_resume.py --trials 4 --seed 1    fewer, at other moments

Each trial trains a small network with dropout, augmentation and a schedule. It is killed one to three times, and then
finishes. Equal means `torch.equal` for the weights and for the state of the optimizer and the schedule, and the same text
for every figure in metrics.csv and every scalar that TensorBoard shows. A trial takes a few seconds, because the children
are forked from a process that has imported everything.
"""

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1]))  # the config names classes in benchmarks.killed_training

from benchmarks.equality import difference
from benchmarks.forks import Job

ROOT = Path(__file__).parents[1]
COMMON = {
    "model": {
        "class_path": "lit_models.LitMLP",
        "init_args": {"hidden_sizes": [16], "dropout": 0.2, "optimizer": {"class_path": "torch.optim.Adam"}},
    },
    "trainer": {
        "accelerator": "cpu",
        "max_epochs": 4,
        "log_every_n_steps": 3,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "callbacks": [{"class_path": "benchmarks.killed_training.ReportPhase"}],
    },
    "save_every_n_steps": 4,
    "pictures": False,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "tensors": {
        "data": {
            "class_path": "datamodules.MNISTDataModule",
            "init_args": {
                "batch_size": 16,
                "eval_batch_size": 16,
                "augment": {"degrees": 20.0, "shift": 2.0},
            },
        },
        "scheduler": {"class_path": "torch.optim.lr_scheduler.OneCycleLR", "init_args": {"max_lr": 0.02}},
    },
    "workers": {
        "data": {"class_path": "benchmarks.killed_training.WorkerData"},
        "scheduler": {
            "class_path": "torch.optim.lr_scheduler.ReduceLROnPlateau",
            "init_args": {"patience": 0, "factor": 0.5},
        },
    },
}


def write_configs() -> None:
    """Write the configs, and images like MNIST's: a bright bar, lower in the image for higher labels."""
    for name, variant in VARIANTS.items():
        config = {**COMMON, "data": variant["data"], "model": {**COMMON["model"]}}
        config["model"]["init_args"] = {**COMMON["model"]["init_args"], "scheduler": variant["scheduler"]}
        Path(f"{name}.yaml").write_text(yaml.safe_dump(config))
    generator = np.random.default_rng(0)
    for prefix, count in (("train", 640), ("t10k", 40)):
        labels = generator.permutation(np.arange(count) % 10).astype(np.uint8)
        images = generator.integers(0, 60, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 + 2 * label : 6 + 2 * label, 4:24] = 255
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
            Path("data").mkdir(exist_ok=True)
            Path(f"data/{prefix}-{kind}-ubyte").write_bytes(header + values.tobytes())


def fit_words(variant: str, name: str, processes: int) -> list[str]:
    """The words of a new run, or of one that resumes if there is a checkpoint."""
    folder = Path("runs", name, "version_0")
    if any(folder.glob("checkpoints/*.ckpt")):
        return ["fit", "--resume", str(folder)]
    shutil.rmtree(folder, ignore_errors=True)  # killed before the first checkpoint, so nothing is lost
    words = ["fit", "--config", f"{variant}.yaml", "--run_name", name]
    return words + (
        ["--trainer.strategy", "ddp", "--trainer.devices", str(processes)] if processes > 1 else []
    )


def undisturbed(variant: str, processes: int) -> float:
    """Train without a kill; returns the seconds from the first step to the end."""
    job = Job(fit_words(variant, f"{variant}_whole", processes), processes)
    job.start()
    job.wait(until_training=True)
    begun = time.monotonic()
    job.wait()
    job.check()
    return time.monotonic() - begun


def trial(name: str, variant: str, processes: int, seconds: float, dice: random.Random) -> list[str]:
    """Kill one run one to three times, then finish it; returns what it was doing each time."""
    phases: list[str] = []
    while not phases:  # a run that ended before the kill does not count
        shutil.rmtree(Path("runs", name), ignore_errors=True)
        for _ in range(dice.randint(1, 3)):
            job = Job(fit_words(variant, name, processes), processes)
            job.start()
            if dice.random() > 0.1:  # the others are killed while they start
                job.wait(until_training=True)
            if job.wait(dice.uniform(0, 0.9 * seconds)):
                job.check()
                break
            phases.append(job.kill())
    job = Job(fit_words(variant, name, processes), processes)
    job.start()
    job.wait()
    job.check()
    return phases


def main() -> int:
    """Run the trials; returns 0 if all were equal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    torch.set_num_threads(1)
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it reports every hidden step
    good, hits = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_configs()
        variants = list(VARIANTS)[: options.trials]
        seconds = {variant: undisturbed(variant, options.processes) for variant in variants}
        for number in track(range(options.trials), description="killing"):
            variant = variants[number % len(variants)]
            name = f"{variant}_{number}"
            phases = trial(name, variant, options.processes, seconds[variant], dice)
            odd = difference(Path(f"runs/{variant}_whole/version_0"), Path(f"runs/{name}/version_0"))
            good += not odd
            hits.update(phases)
            print(f"{name}: killed in {', '.join(phases)}: {odd or 'equal'}", flush=True)
        os.chdir(ROOT)
    print("kills:", ", ".join(f"{count} in {phase}" for phase, count in hits.most_common()))
    print(f"{good} of {options.trials}")
    return int(good != options.trials)


if __name__ == "__main__":
    sys.exit(main())
