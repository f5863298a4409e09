"""Train a program under the check-up, the diagnosis and their rivals, and note who said what and when."""

from __future__ import annotations

import contextlib
import io
import logging
import time
import warnings
from dataclasses import asdict, dataclass, field
from typing import Any

import pytorch_lightning as pl
import torch

import callbacks
from benchmarks.fault_programs import Program, Run
from benchmarks.fault_rivals import RIVALS, WITH_TRAININGS_OF_THEIR_OWN, Rival

LEARNED = 0.8  # a healthy program ends with a loss below this share of its first
LAST = 10  # steps whose mean is the last loss


@dataclass(frozen=True)
class Finding:
    """What a tool said, and when first.

    Args:
        tool: "check-up", "diagnosis" or a rival.
        kind: of the verdict; a rival's alarm.
        severity: of the verdict, the worst while it held.
        step: optimizer steps that were done before it was said; 0: before training.
        because: the kind of another verdict that explains it.
        names: for a rival, the kinds that its alarm names.
    """

    tool: str
    kind: str
    severity: str = "warn"
    step: int = 0
    because: str = ""
    names: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What became of a run."""

    program: str
    faulty: bool
    findings: list[Finding] = field(default_factory=list)
    learned: bool = False
    first_loss: float = float("nan")
    last_loss: float = float("nan")
    steps: int = 0
    error: str = ""
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Losses(pl.Callback):
    """The loss of every step, on the host."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss is not None:
            self.values.append(float(loss))


class Watch(pl.Callback):
    """Notes the verdicts of our callbacks when they first appear. Must come after them."""

    def __init__(self, watched: dict[str, pl.Callback]) -> None:
        self.watched = watched
        self.found: dict[tuple[str, str], Finding] = {}

    def note(self, step: int) -> None:
        for tool, callback in self.watched.items():
            for verdict in getattr(callback, "verdicts", []):
                key = (tool, verdict.kind)
                old = self.found.get(key)
                worse = old is not None and old.severity == "info" and verdict.severity != "info"
                if old is None or worse:
                    first = step if old is None else old.step
                    self.found[key] = Finding(tool, verdict.kind, verdict.severity, first, verdict.because)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.note(trainer.global_step)

    def on_train_batch_end(self, trainer, pl_module, *_: Any) -> None:
        self.note(max(trainer.global_step, 1))

    def on_train_end(self, trainer, pl_module) -> None:
        self.note(max(trainer.global_step, 1))


def ours(every: int) -> dict[str, pl.Callback]:
    """The callbacks of this repository that give verdicts, by name."""
    watched: dict[str, pl.Callback] = {}
    if hasattr(callbacks, "Checkup"):
        watched["check-up"] = callbacks.Checkup()
    return watched | {"diagnosis": callbacks.Diagnosis(every)}


def train(program: Program, faulty: bool, steps: int = 100, every: int = 5, rivals: bool = True) -> Outcome:
    """Train a program for at most so many steps, on the CPU.

    Args:
        every: optimizer steps between two measurements of the diagnosis.
        rivals: whether the rivals listen, too.
    """
    outcome, began = Outcome(program.name, faulty), time.perf_counter()
    losses, watched = Losses(), ours(every)
    watch, listening = Watch(watched), [rival() for rival in RIVALS] if rivals else []
    try:
        run, outcome.steps = fit(
            program, faulty, steps, every, [losses, *watched.values(), watch, *listening]
        )
        outcome.learned = run.learned(run.module) if run.learned else fell(losses.values)
    except Exception as error:  # a program that breaks is a row of the table, not the end of the benchmark
        outcome.error = f"{type(error).__name__}: {error}".split("\n")[0][:200]
    outcome.seconds = time.perf_counter() - began
    if losses.values:
        outcome.first_loss, outcome.last_loss = losses.values[0], mean(losses.values[-LAST:])
    watch.note(outcome.steps)
    outcome.findings = [*watch.found.values(), *alarms(listening)]
    for rival in WITH_TRAININGS_OF_THEIR_OWN if rivals else []:
        alone = rival()
        with contextlib.suppress(Exception):  # what it raises is no finding
            fit(program, faulty, 1, every, [alone])
        outcome.findings += alarms([alone])
    return outcome


def fit(
    program: Program,
    faulty: bool,
    steps: int,
    every: int,
    listening: list[pl.Callback],
    validates: bool = True,
) -> tuple[Run, int]:
    """Train in silence; the run, and how many steps it took."""
    quiet()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = program.run(faulty)
        own = dict(run.trainer)
        trainer = pl.Trainer(
            max_epochs=run.epochs,
            max_steps=steps * run.optimizers,
            log_every_n_steps=every,
            callbacks=[*listening, *own.pop("callbacks", [])],
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **own,
        )
        trainer.fit(run.module, run.train, run.val if validates else None)
    return run, trainer.global_step


def alarms(rivals: list[Rival]) -> list[Finding]:
    return [
        Finding(rival.name, alarm, step=step, names=rival.names.get(alarm, ()))
        for rival in rivals
        for alarm, step in rival.alarms.items()
    ]


def fell(losses: list[float]) -> bool:
    """Whether the last losses are well below the first."""
    first, last = mean(losses[:3]), mean(losses[-LAST:])
    return last < LEARNED * first if first > 0 else last < first


def mean(values: list[float]) -> float:
    return sum(values) / max(len(values), 1)


def quiet() -> None:
    """One thread, and no messages of Lightning."""
    torch.set_num_threads(1)
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
