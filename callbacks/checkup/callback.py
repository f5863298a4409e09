"""Checkup: before the first step, find what would keep the network from learning.

All checks work on copies of the module and on batches read ahead. Afterwards weights, optimizers, random numbers, the
order of the data and everything logged are as they would be without it. What the module's own hooks and steps do to the
world, such as writing a file, happens on the copies, too.
"""

from __future__ import annotations

import contextlib
import time
import warnings

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from callbacks.checkup.check import Outcome, run_checks
from callbacks.checkup.checks import CHECKS
from callbacks.checkup.report import summary
from callbacks.checkup.subject import Subject
from callbacks.checkup.untouched import untouched
from callbacks.diagnostics.verdict import Verdict, worst_first
from callbacks.steps import steps_done


class Checkup(pl.Callback):
    """Checks model, data, loss and optimizer before the first step, and prints what it finds.

    Args:
        max_seconds: no check starts later than this after the first one, or than ten training steps would take (sixty
            if thorough).
        thorough: also make the checks that take longer, such as fitting one batch.

    Raises:
        ValueError: max_seconds is not above 0.

    `verdicts` has what was found, worst first; `outcomes` what came of each check.
    """

    def __init__(self, max_seconds: float = 1.0, *, thorough: bool = False) -> None:
        if not max_seconds > 0:
            raise ValueError(f"max_seconds={max_seconds!r} is no time; give seconds above 0")
        self.max_seconds, self.thorough = max_seconds, thorough
        self.outcomes: list[Outcome] = []
        self.seconds = 0.0
        self.why_not = ""  # why there was no check-up at all

    @property
    def verdicts(self) -> list[Verdict]:
        """What was found."""
        return worst_first([verdict for outcome in self.outcomes for verdict in outcome.verdicts])

    @property
    def step_zero_verdicts(self) -> list[Verdict]:
        """What was found; `Diagnosis` adds it to its own verdicts."""
        return self.verdicts

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if steps_done(trainer) > 0:  # a resumed run was checked when it began
            return
        self.outcomes, self.why_not = [], ""
        if trainer.world_size > 1:
            self.why_not = "it works in one process; run python train.py check with --trainer.devices 1"
        else:
            try:
                self._check(trainer, pl_module)
            except Exception as error:  # an observer never breaks a training
                self.why_not = f"it failed: {type(error).__name__}: {error}"
        rank_zero_only(print)(summary(self), flush=True)

    def _check(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        started = time.perf_counter()
        subject = Subject(trainer, pl_module, self.max_seconds / 4)
        data = trainer.datamodule, trainer.val_dataloaders, trainer.train_dataloader
        with warnings.catch_warnings(), untouched(pl_module, *data), torch.enable_grad():
            warnings.simplefilter("ignore")
            seconds = max(self.max_seconds, _seconds_for_ten_steps(subject) * (6 if self.thorough else 1))
            self.outcomes = list(run_checks(CHECKS, subject, seconds, self.thorough))
        self.seconds = time.perf_counter() - started


def _seconds_for_ten_steps(subject: Subject) -> float:
    started = time.perf_counter()
    with contextlib.suppress(Exception):  # each check that needs it says what is wrong
        weights = [p for p in subject.still.module.parameters() if p.requires_grad]
        torch.autograd.grad(subject.traced.loss, weights, allow_unused=True, retain_graph=True)
    return 10 * (time.perf_counter() - started)
