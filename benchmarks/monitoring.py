"""What it costs to look inside: time per optimizer step with each way of monitoring, over steps without any.

    python benchmarks/monitoring.py                     about 10 minutes on one CPU core
    python benchmarks/monitoring.py --rounds 5          a quick look

Every model trains in a plain `pl.Trainer` on batches of 64 that lie in memory, logging to TensorBoard. Within
one run, 75 steps without monitoring and 75 steps with it take turns, so that a machine that slows down slows
both; of each 75 the last 50 count, which is one period of the default cadence. "Ratio" is the median over the
rounds of the time of those 50 steps with, over that of the 50 without just before. "By step" takes, for each of
the 50 steps, its median over the rounds, and divides the sums: a step during which the machine did something
else then does not count. The first line compares no monitoring with itself: how far it is from 1.00 says how
much of the rest is noise. `--clock cpu` counts the processor time of this process alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import grad_norm
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from callbacks import ActivationMonitor, Diagnosis, GradientMonitor, NonFiniteGuard


def mlp_784_100_10() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))


def convnet() -> nn.Module:
    """Three blocks of conv 3x3, relu, max-pool 2, with 16, 64 and 128 channels, then linear."""
    layers: list[nn.Module] = []
    for n, m in ((1, 16), (16, 64), (64, 128)):
        layers += [nn.Conv2d(n, m, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 9, 10))


def mlp_20_layers() -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(784, 100), nn.ReLU()]
    for _ in range(18):
        layers += [nn.Linear(100, 100), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(100, 10))


MODELS = {"MLP 784-100-10": mlp_784_100_10, "convnet 16-64-128": convnet, "MLP of 20 layers": mlp_20_layers}


class Classifier(pl.LightningModule):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.monitored = True  # whether this is a step with monitoring

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.cross_entropy(self.net(x), y)
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class Recipe(Classifier):
    """Lightning's documentation on gradient norms."""

    def on_before_optimizer_step(self, optimizer):
        if self.monitored:
            self.log_dict(grad_norm(self, norm_type=2))


class ItemPerParameter(Classifier):
    """One norm, one copy to the host and one scalar per parameter, as found in many training scripts."""

    def on_before_optimizer_step(self, optimizer):
        for name, parameter in self.named_parameters() if self.monitored else []:
            self.logger.experiment.add_scalar(f"grad/{name}", parameter.grad.norm().item(), self.global_step)


class Histograms(Classifier):
    """A histogram of the gradient of every parameter at every step."""

    def on_before_optimizer_step(self, optimizer):
        for name, parameter in self.named_parameters() if self.monitored else []:
            self.logger.experiment.add_histogram(f"grad/{name}", parameter.grad, self.global_step)


def all_four(n: int | None) -> list[pl.Callback]:
    return [GradientMonitor(n), ActivationMonitor(n), NonFiniteGuard(), Diagnosis(n)]


VARIANTS = {
    "no monitoring": (Classifier, list),
    "GradientMonitor, every 50 steps (default)": (Classifier, lambda: [GradientMonitor()]),
    "both monitors and Diagnosis, every 50 steps": (
        Classifier,
        lambda: [GradientMonitor(), ActivationMonitor(), Diagnosis()],
    ),
    "the same and NonFiniteGuard, which checks each step": (Classifier, lambda: all_four(None)),
    "GradientMonitor, every step": (Classifier, lambda: [GradientMonitor(1)]),
    "all four, every step": (Classifier, lambda: all_four(1)),
    "Lightning's recipe: log_dict(grad_norm(self, 2))": (Recipe, list),
    "norm().item() and add_scalar per parameter": (ItemPerParameter, list),
    "histogram of every parameter": (Histograms, list),
}


class Turns(pl.Callback):
    """Switches monitoring on and off every 75 steps, and times every step."""

    def __init__(self, rounds: int, now: Callable[[], float]) -> None:
        self.rounds, self.now = rounds, now
        self.ticks: list[float] = []  # when each step began

    def on_train_start(self, trainer, pl_module):
        self.monitors = [callback for callback in trainer.callbacks if callback is not self]
        self._switch(trainer, pl_module, False)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.ticks.append(self.now())
        trainer.should_stop = trainer.global_step == 150 * (self.rounds + 1)  # the first round is a warm-up

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if (
            trainer.global_step % 75 == 0
        ):  # here, not at the start of a step: no monitor is halfway through one
            self._switch(trainer, pl_module, trainer.global_step % 150 == 75)

    def _switch(self, trainer, pl_module, on: bool) -> None:
        pl_module.monitored = on
        trainer.callbacks = [*self.monitors, self] if on else [self]

    def times(self) -> tuple[list[list[float]], list[list[float]]]:
        """Of each round, the times of 50 steps without and of 50 steps with monitoring."""
        steps = [b - a for a, b in pairwise(self.ticks)]
        starts = range(150, 150 * (self.rounds + 1), 150)
        return [steps[k + 25 : k + 75] for k in starts], [steps[k + 100 : k + 150] for k in starts]


class Batches(torch.utils.data.Dataset):
    """Batches made beforehand, so that the loader costs nothing: x (64, 1, 28, 28), y (64,)."""

    def __init__(self) -> None:
        self.batches = [(torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))) for _ in range(50)]

    def __len__(self) -> int:
        return 10_000

    def __getitem__(self, index: int):
        return self.batches[index % 50]


def run(build, module_class, callbacks, turns: Turns, folder: str) -> None:
    torch.manual_seed(0)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        callbacks=[*callbacks(), turns],
        logger=TensorBoardLogger(folder),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader(Batches(), batch_size=None)
    trainer.fit(module_class(build()), loader)


def quiet() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def sum_of_medians(rounds: list[list[float]]) -> float:
    return sum(statistics.median(times) for times in zip(*rounds, strict=True))


def measure(name: str, rounds: int, now: Callable[[], float]) -> None:
    print(f"\n{name}\n  {'':52}  ratio   its quartiles   by step   ms per step without", flush=True)
    for variant, (module_class, callbacks) in VARIANTS.items():
        turns = Turns(rounds, now)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            run(MODELS[name], module_class, callbacks, turns, folder)  # Diagnosis would talk of random labels
        without, taken = turns.times()
        ratios = [sum(b) / sum(a) for a, b in zip(without, taken, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        base = sum_of_medians(without)
        by_step = sum_of_medians(taken) / base
        spread = f"{low:.2f} to {high:.2f}"
        print(f"  {variant:52} {middle:6.2f}   {spread:14} {by_step:8.3f} {base * 20:10.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20, help="repetitions, 2 or more; medians are reported")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="what is counted")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
    parser.add_argument("--model", choices=list(MODELS), action="append", help="default: all of them")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    quiet()
    cores = f"{arguments.threads} CPU thread{'s' if arguments.threads > 1 else ''}"
    print(f"PyTorch {torch.__version__}, Lightning {pl.__version__}, {cores}, ", end="")
    print(f"{arguments.clock} time, {arguments.rounds} rounds")
    now = time.perf_counter if arguments.clock == "wall" else time.process_time
    for name in arguments.model or MODELS:
        measure(name, arguments.rounds, now)


if __name__ == "__main__":
    main()
