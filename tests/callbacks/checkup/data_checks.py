"""Run some checks of the data on a training that is about to start."""

import warnings

import pytorch_lightning as pl
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.check import run_checks
from callbacks.checkup.subject import Subject
from callbacks.checkup.untouched import untouched
from tests.callbacks.plain import Plain, fit


class Run(pl.Callback):
    def __init__(self, checks, seconds):
        self.checks, self.seconds, self.outcomes = checks, seconds, []

    def on_train_start(self, trainer, pl_module):
        subject = Subject(trainer, pl_module, self.seconds)
        with warnings.catch_warnings(), untouched(trainer.train_dataloader, trainer.val_dataloaders):
            warnings.simplefilter("ignore")
            self.outcomes = list(run_checks(self.checks, subject, 1e9, with_slow=True))
        trainer.should_stop = True


def outcomes(checks, model, loader, val=None, seconds=2.0, **kwargs):
    run = Run(checks, seconds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, loader, run, val=val, num_sanity_val_steps=0, **kwargs)
    failures = [each.why_not for each in run.outcomes if each.why_not.startswith("it failed")]
    assert not failures, failures
    return run.outcomes


def found(checks, model, loader, val=None, **kwargs):
    """{kind: severity} of what the checks find."""
    results = outcomes(checks, model, loader, val, **kwargs)
    return {verdict.kind: verdict.severity for each in results for verdict in each.verdicts}


def why_not(checks, model, loader, val=None, **kwargs):
    """The reasons why checks could not be made."""
    return [each.why_not for each in outcomes(checks, model, loader, val, **kwargs) if each.why_not]


def classifier(features=4, classes=3):
    net = nn.Sequential(nn.Flatten(), nn.Linear(features, 8), nn.ReLU(), nn.Linear(8, classes))
    return Plain(net, F.cross_entropy)
