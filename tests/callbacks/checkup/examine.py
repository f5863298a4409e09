"""What single checks say about a training that is about to start."""

import contextlib

import pytorch_lightning as pl
import torch

from callbacks.checkup.copying import CannotCheckError
from callbacks.checkup.subject import Subject
from callbacks.checkup.untouched import untouched


class EnoughError(Exception):
    """Ends the training before its first step."""


class Examine(pl.Callback):
    """Makes some checks at the start of training, keeps what they say, and ends it."""

    def __init__(self, checks):
        self.checks, self.verdicts, self.why_not = checks, [], []

    def on_train_start(self, trainer, pl_module):
        subject = Subject(trainer, pl_module, 0.25)
        with untouched(trainer.train_dataloader, trainer.val_dataloaders), torch.enable_grad():
            for check in self.checks:
                try:
                    self.verdicts += check(subject)
                except CannotCheckError as reason:
                    self.why_not.append(str(reason))
        raise EnoughError


def examine(model, loader, *checks, val=None, callbacks=(), **kwargs):
    """An `Examine` after the start of a training; `kwargs` are the Trainer's."""
    observer = Examine(checks)
    kwargs = {"max_epochs": 2, "accelerator": "cpu", "devices": 1, "num_sanity_val_steps": 0} | kwargs
    kwargs |= {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(callbacks=[*callbacks, observer], logger=False, **kwargs)
    with contextlib.suppress(EnoughError):
        trainer.fit(model, loader, val)
    return observer


def found(model, loader, *checks, **kwargs):
    """(kind, severity) of every verdict."""
    return [(each.kind, each.severity) for each in examine(model, loader, *checks, **kwargs).verdicts]
