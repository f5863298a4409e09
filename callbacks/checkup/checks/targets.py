"""The targets of the training data."""

from __future__ import annotations

import torch
from torch import Tensor

from callbacks.checkup.batches import leaves
from callbacks.checkup.copying import CannotCheckError
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.loss_calls import LossCall


def target_number(subject: Subject, call: LossCall) -> int:
    """Which tensor of the batch has the values that a loss function got as its target.

    Raises:
        CannotCheckError: if none has, because the step computes them.
    """
    wanted = call.target.detach().flatten().double()
    for number, each in enumerate(leaves(subject.batch)):
        if each.numel() == wanted.numel() and torch.equal(each.detach().flatten().double(), wanted):
            return number
    raise CannotCheckError("the targets are not a tensor of the batch")


def training_targets(subject: Subject, call: LossCall) -> Tensor:
    """All targets of the training data that can be read in the time, (M,); `call` got those of the first batch."""
    number = target_number(subject, call)
    return torch.cat([leaves(batch)[number].detach().flatten().cpu() for batch in subject.training_data()])
