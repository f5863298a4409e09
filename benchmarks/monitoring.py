"""What monitoring costs: time per optimizer step with each way of monitoring, over steps without monitoring.

python benchmarks/monitoring.py                     about 25 minutes on one CPU core
python benchmarks/monitoring.py --rounds 8          quick and noisy
python benchmarks/monitoring.py --write             also put the table into docs/monitoring.md
python benchmarks/monitoring.py --device gpu        on a graphics card
python benchmarks/monitoring.py --quick             only the default set, over no monitoring

Every way trains the same network in a plain `pl.Trainer` on batches of 64 that are on the device, logging to TensorBoard.
A turn is 1 to 8 periods of 50 steps, the default cadence. A figure is the time over that without monitoring in the same
round (see `interleave.py`): median and quartiles.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import grad_norm
from torch import Tensor, nn

from benchmarks.interleave import EndTurn, Ratio, time_interleaved
from benchmarks.problems import convnet, mlp
from benchmarks.report import clock_options, machine, write_between
from callbacks import ActivationMonitor, Diagnosis, GradientMonitor, NonFiniteGuard
from runtime.process import keep_freed_memory

PERIOD = 50  # steps; the default cadence


def mlp_20_layers() -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(784, 100), nn.ReLU()]
    for _ in range(18):
        layers += [nn.Linear(100, 100), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(100, 10))


MODELS = {"MLP 784-100-10": mlp, "conv 16-64-128": convnet, "MLP of 20 layers": mlp_20_layers}
PERIODS_PER_TURN = {"MLP 784-100-10": 8, "conv 16-64-128": 1, "MLP of 20 layers": 4}
ROUNDS = {"MLP 784-100-10": 60, "conv 16-64-128": 20, "MLP of 20 layers": 60}
ROUNDS_PER_PROCESS = 5


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


def all_four(n: int | None = None) -> list[pl.Callback]:
    return [GradientMonitor(n), ActivationMonitor(n), NonFiniteGuard(), Diagnosis(n)]


Way = tuple[type[Classifier], Callable[[], list[pl.Callback]]]
OFTEN: dict[str, Way] = {
    "no monitoring": (Classifier, list),
    "no monitoring once more": (Classifier, list),
    "four callbacks that do nothing": (Classifier, lambda: [pl.Callback() for _ in range(4)]),
    "`GradientMonitor` (every 50 steps)": (Classifier, lambda: [GradientMonitor()]),
    "both monitors and `Diagnosis` (every 50 steps)": (Classifier, lambda: [*all_four()[:2], Diagnosis()]),
    "**all four: the default set**": (Classifier, all_four),
}
SELDOM: dict[str, Way] = {
    "`GradientMonitor`, every step": (Classifier, lambda: [GradientMonitor(1)]),
    "all four, every step": (Classifier, lambda: all_four(1)),
    "Lightning's recipe: `log_dict(grad_norm(self, 2))`": (Recipe, list),
    "`norm().item()` and `add_scalar` per parameter": (ItemPerParameter, list),
    "a histogram of every parameter": (Histograms, list),
}
QUICK = ("no monitoring", "no monitoring once more", "**all four: the default set**")


class Batches:
    """Batches made in advance, so that the loader costs nothing: x (64, 1, 28, 28), y (64,)."""

    def __init__(self, device: str, periods: int, end_turn: EndTurn) -> None:
        made = [(torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))) for _ in range(PERIOD)]
        self.batches = [(x.to(device), y.to(device)) for x, y in made]
        self.periods, self.end_turn = periods, end_turn

    def __len__(self) -> int:
        return 10**9

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for _ in range(self.periods):
                yield from self.batches
            self.end_turn()


def train(name: str, way: Way, device: str, end_turn: EndTurn) -> None:
    """A contender."""
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.manual_seed(0)
    module_class, callbacks = way
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator=device,
            devices=1,
            max_epochs=-1,
            callbacks=callbacks(),
            logger=TensorBoardLogger(folder),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        batches = Batches({"gpu": "cuda"}.get(device, device), PERIODS_PER_TURN[name], end_turn)
        trainer.fit(module_class(MODELS[name]()), batches)


def measure(name: str, ways: dict[str, Way], options: argparse.Namespace) -> dict[str, Ratio]:
    on_gpu = (
        options.device == "gpu"
    )  # there the memory of the process does not decide, and starting one takes long
    ratios = time_interleaved(
        {way: partial(train, name, chosen, options.device) for way, chosen in ways.items()},
        options.rounds or ROUNDS[name],
        clock=options.clock,
        seldom=SELDOM,
        rounds_per_process=None if on_gpu else ROUNDS_PER_PROCESS,
        prepare_together=on_gpu,
        title=name,
    )
    for way, ratio in ratios.items():
        print(f"{name:16}  {way:50}  {ratio}   {step_time(name, ratio):.2f} ms", flush=True)
    return ratios


def step_time(name: str, ratio: Ratio) -> float:
    """Milliseconds per step, from the time of a turn."""
    return ratio.seconds / (PERIOD * PERIODS_PER_TURN[name]) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, help="the slow ways take part in few")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="only the default set, over no monitoring")
    parser.add_argument("--model", choices=list(MODELS), action="append", help="default: all of them")
    parser.add_argument("--write", action="store_true", help="put the table into docs/monitoring.md")
    clock_options(parser)
    options = parser.parse_args()
    keep_freed_memory()  # otherwise it is chance which way of monitoring makes the C library return pages
    torch.set_num_threads(options.threads)
    models = options.model or list(MODELS)
    ways = {way: chosen for way, chosen in (OFTEN | SELDOM).items() if not options.quick or way in QUICK}
    results = {name: measure(name, ways, options) for name in models}
    lines = ["| " + " | ".join(["time per step", *models]) + " |", "|---" * (len(models) + 1) + "|"]
    for way in ways:
        lines.append("| " + " | ".join([way, *(str(results[name][way]) for name in models)]) + " |")
    steps = (f"{name} {step_time(name, results[name]['no monitoring']):.2f} ms" for name in models)
    lines += ["", f"A step without monitoring: {', '.join(steps)}; {machine(options.threads)}."]
    print("", *lines, sep="\n")
    if options.write:
        write_between("monitoring", lines)


if __name__ == "__main__":
    main()
