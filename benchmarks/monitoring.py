"""What it costs to look inside: time per optimizer step with each way of monitoring, over a run without any.

    python benchmarks/monitoring.py                  about 10 minutes on one CPU core
    python benchmarks/monitoring.py --rounds 3 --seconds 0.5      a quick look

Every model trains in a plain `pl.Trainer` on batches of 64 that lie in memory, logging to TensorBoard. Each
block of steps follows one without monitoring, so that a machine that slows down slows both; the figure is the
median over the rounds of the ratio of their times per step. The first line compares no monitoring with itself:
how far it is from 1.00 says how much of the rest is noise. "Within one run" compares probe steps with the steps
between them, which a change of the machine's speed does not touch, and leaves out what Lightning spends on
calling one more callback at every step. On a machine that others use as well, `--clock cpu` counts the processor
time of this process alone.
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
        self.log_dict(grad_norm(self, norm_type=2))


class ItemPerParameter(Classifier):
    """One norm, one copy to the host and one scalar per parameter, as found in many training scripts."""

    def on_before_optimizer_step(self, optimizer):
        for name, parameter in self.named_parameters():
            self.logger.experiment.add_scalar(f"grad/{name}", parameter.grad.norm().item(), self.global_step)


class Histograms(Classifier):
    """A histogram of the gradient of every parameter at every step."""

    def on_before_optimizer_step(self, optimizer):
        for name, parameter in self.named_parameters():
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


class Clock(pl.Callback):
    """Times every step after a warm-up, until `seconds` are reached at a multiple of 50."""

    def __init__(self, seconds: float, now: Callable[[], float], warmup: int = 50) -> None:
        self.seconds, self.now, self.warmup = seconds, now, warmup
        self.ticks: list[float] = []  # when each step began

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        step = trainer.global_step
        if step >= self.warmup:
            self.ticks.append(self.now())
            if step % 50 == 0 and step > self.warmup and self.ticks[-1] - self.ticks[0] >= self.seconds:
                trainer.should_stop = True

    @property
    def per_step(self) -> float:
        return (self.ticks[-1] - self.ticks[0]) / (len(self.ticks) - 1)

    @property
    def within(self) -> float:
        """The same ratio from one run alone: every 50th step, a probe step, against the steps between."""
        times = [b - a for a, b in pairwise(self.ticks)]
        between = statistics.median(t for k, t in enumerate(times) if (k + 1) % 50)
        return (statistics.median(times[49::50]) + 49 * between) / (50 * between)


class Batches(torch.utils.data.Dataset):
    """Batches made beforehand, so that the loader costs nothing: x (64, 1, 28, 28), y (64,)."""

    def __init__(self) -> None:
        self.batches = [(torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))) for _ in range(50)]

    def __len__(self) -> int:
        return 10_000

    def __getitem__(self, index: int):
        return self.batches[index % 50]


def time_per_step(build, module_class, callbacks, clock: Clock, folder: str) -> Clock:
    torch.manual_seed(0)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[*callbacks(), clock],
        logger=TensorBoardLogger(folder),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader(Batches(), batch_size=None)
    trainer.fit(module_class(build()), loader)
    return clock


def quiet() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def measure(name: str, rounds: int, seconds: float, now: Callable[[], float]) -> None:
    build = MODELS[name]
    ratios: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    within: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    base: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for k in range(rounds):
            for variant, (module_class, callbacks) in VARIANTS.items():
                print(f"\r{name}: round {k + 1}/{rounds}, {variant:60}", end="", file=sys.stderr, flush=True)
                with contextlib.redirect_stdout(io.StringIO()):  # what Diagnosis has to say of random labels
                    without = time_per_step(build, Classifier, list, Clock(seconds, now), folder)
                    taken = time_per_step(build, module_class, callbacks, Clock(seconds, now), folder)
                base.append(without.per_step)
                ratios[variant].append(taken.per_step / without.per_step)
                within[variant].append(taken.within)
    print("\r" + " " * 110 + "\r", end="", file=sys.stderr)
    print(f"\n{name}: {statistics.median(base) * 1e3:.2f} ms per step without monitoring")
    print(f"  {'time per step, as a multiple of that':52} median   range          within one run")
    for variant, values in ratios.items():
        spread = f"{min(values):.2f} to {max(values):.2f}"
        one_run = (
            f"{statistics.median(within[variant]):.3f}" if "every 50" in variant or "no " in variant else ""
        )
        print(f"  {variant:52} {statistics.median(values):6.2f}   {spread:16} {one_run}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="repetitions; the median is reported")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="least time measured per variant and round"
    )
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
        measure(name, arguments.rounds, arguments.seconds, now)


if __name__ == "__main__":
    main()
