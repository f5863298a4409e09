"""Does the loss function get what it expects?"""

from __future__ import annotations

import torch
from torch import Tensor

from callbacks.checkup.check import Check
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.verdict import Verdict


def is_distribution(tensor: Tensor, axis: int) -> bool:
    """Whether its values along an axis are probabilities: not negative, and their sum is 1 within 1e-4."""
    values = tensor.detach().double()
    return bool((values >= 0).all() and ((values.sum(axis) - 1).abs() < 1e-4).all())


def softmax_before_cross_entropy(subject: Subject) -> list[Verdict]:
    """Cross-entropy applies log_softmax itself; applied to probabilities it can hardly fall."""
    calls = [call for traced in subject.traces for call in traced.calls if call.name == "cross_entropy"]
    calls = [call for call in calls if call.input.ndim > 1]
    if not calls or not all(is_distribution(call.input, 1) for call in calls):
        return []
    classes = calls[0].input.shape[1]
    floor = torch.log1p((classes - 1) * torch.exp(torch.tensor(-1.0))).item()
    return [
        Verdict(
            "softmax before cross-entropy",
            [],
            f"cross_entropy gets probabilities: every row is >= 0 and sums to 1. It applies log_softmax itself, so "
            f"with {classes} classes the loss cannot fall below {floor:.3g}.",
            "logits into cross_entropy: leave out the softmax",
            "fail",
        )
    ]


CHECKS = (Check("cross-entropy gets logits", softmax_before_cross_entropy),)
