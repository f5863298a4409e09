"""What a program is, how it is registered, and the training module that most programs share."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Optimizer = Callable[[Iterable], torch.optim.Optimizer]


@dataclass
class Run:
    """What one training needs.

    Args:
        module: what is trained.
        train: batches for training.
        val: batches for validation, if there are any.
        epochs: passes over the training batches.
        trainer: further arguments of `pl.Trainer`.
        optimizers: how many are stepped for a batch; Lightning counts each of their steps.
        learned: given the module after training, whether it learned; default: the loss fell, see `LEARNED`.
    """

    module: pl.LightningModule
    train: Iterable
    val: Iterable | None = None
    epochs: int = 3
    trainer: dict[str, Any] = field(default_factory=dict)
    optimizers: int = 1
    learned: Callable[[pl.LightningModule], bool] | None = None


NEVER_HELD_OUT = ("healthy_branches",)  # written to draw false alarms, which were then mended


@dataclass(frozen=True)
class Program:
    """A program of the benchmark; with `kinds` it has a planted fault, and a healthy twin without it.

    Args:
        name: of the program; its parity decides the half it belongs to.
        build: makes a run. Takes whether the fault is in it, if the program has one.
        kinds: the kinds of verdicts that name the fault, the best one first.
        family: the file it stands in.
        control: a healthy program of a kind that is easily taken for a fault.
    """

    name: str
    build: Callable[..., Run]
    kinds: tuple[str, ...] = ()
    family: str = ""
    control: bool = False

    @property
    def seed(self) -> int:
        return zlib.crc32(self.name.encode())

    @property
    def held_out(self) -> bool:
        """Whether it belongs to the half on which no threshold was set."""
        return self.seed % 2 == 1 and self.family not in NEVER_HELD_OUT

    @property
    def fault(self) -> str:
        """What is wrong, in a line."""
        return (self.build.__doc__ or "").strip().split("\n")[0].removesuffix(".")

    def run(self, faulty: bool) -> Run:
        pl.seed_everything(self.seed, verbose=False)
        return self.build(faulty) if self.kinds else self.build()


FAULTS: dict[str, Program] = {}
HEALTHY: dict[str, Program] = {}


def fault(*kinds: str) -> Callable:
    """Register a program with a planted fault, which one of these kinds of verdicts names."""

    def register(build: Callable[[bool], Run]) -> Callable[[bool], Run]:
        _add(FAULTS, Program(build.__name__, build, kinds, build.__module__.rsplit(".", 1)[-1]))
        return build

    return register


def healthy(name: str, build: Callable[[], Run], family: str) -> None:
    """Register a healthy program."""
    _add(HEALTHY, Program(name, build, family=family))


def control(build: Callable[[], Run]) -> Callable[[], Run]:
    """Register a healthy program that is easily taken for a faulty one."""
    _add(HEALTHY, Program(build.__name__, build, family=build.__module__.rsplit(".", 1)[-1], control=True))
    return build


def _add(programs: dict[str, Program], program: Program) -> None:
    if program.name in FAULTS or program.name in HEALTHY:
        raise ValueError(f"two programs are named {program.name}")
    programs[program.name] = program


adam = partial(torch.optim.Adam, lr=3e-3)
sgd = partial(torch.optim.SGD, lr=0.1)
momentum = partial(torch.optim.SGD, lr=0.03, momentum=0.9)


class Supervised(pl.LightningModule):
    """A network, a loss of its output and the target, and an optimizer; batches are (input, target)."""

    def __init__(
        self,
        net: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        optimizer: Optimizer = adam,
        schedule: Callable[[torch.optim.Optimizer, int], Any] | None = None,
    ) -> None:
        super().__init__()
        self.net, self.loss, self.optimizer, self.schedule = net, loss, optimizer, schedule

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        loss = self.loss(self(x), y)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        out = self(x)
        self.log("val/loss", self.loss(out, y), batch_size=len(x))
        if out.dim() == 2 and out.shape[1] > 1 and y.dim() == 1 and not y.is_floating_point():
            self.log("val/accuracy", (out.argmax(1) == y).float().mean(), batch_size=len(x))

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameters())
        if self.schedule is None:
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = {"scheduler": self.schedule(optimizer, steps), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


class HandWritten(pl.LightningModule):
    """What programs that write their own `training_step` share: Adam and a `validation_step` that logs the loss."""

    optimizer: Optimizer = staticmethod(adam)

    def step(self, batch: Any) -> Tensor:
        """The loss of a batch; not needed where both steps are written anew, as in a GAN."""
        raise NotImplementedError

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.step(batch)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.step(batch), batch_size=1)

    def configure_optimizers(self) -> Any:
        return self.optimizer(self.parameters())


def mlp(*widths: int, activation: type[nn.Module] = nn.ReLU, norm: Callable[[int], nn.Module] | None = None):
    """Linear layers of these widths, with an activation after each but the last."""
    layers: list[nn.Module] = []
    for n, m in pairwise(widths[:-1]):
        layers += [nn.Linear(n, m), *([norm(m)] if norm else []), activation()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def convnet(
    *channels: int,
    classes: int = 10,
    norm: Callable[[int], nn.Module] | None = None,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Blocks of 3x3 convolutions from images (N, 1, 8, 8), max-pooling after the first, and the mean of each channel."""
    layers: list[nn.Module] = []
    for i, (n, m) in enumerate(zip((1, *channels[:-1]), channels, strict=True)):
        layers += [nn.Conv2d(n, m, 3, padding=1), *([norm(m)] if norm else []), activation()]
        layers += [nn.MaxPool2d(2)] if i == 0 else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels[-1], classes))
