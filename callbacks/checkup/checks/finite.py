"""Are all numbers finite before the first step?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from callbacks.checkup.batches import leaves, to_device
from callbacks.checkup.check import Check
from callbacks.checkup.samples import target_number
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.probe import clean_path, forward_hooks, tensors_in
from callbacks.diagnostics.verdict import Verdict

_KIND = "values not finite"


def values_are_finite(subject: Subject) -> list[Verdict]:
    """Parameters and the first losses are finite. Data may have NaN where the loss does not see it."""
    parameters = [
        (name, each)
        for name, each in subject.module.named_parameters()
        if not isinstance(each, nn.parameter.UninitializedParameter) and not is_finite(each)
    ]
    if parameters:
        name, first = parameters[0]
        return [
            _verdict(
                [clean_path(name.rpartition(".")[0]) or "root"],
                f"{len(parameters)} parameters have NaN or infinite numbers, first {clean_path(name)} "
                f"({count_of(first)} of {first.numel()}).",
                "another initialization or checkpoint; torch.empty leaves whatever is in memory",
            )
        ]
    for number, traced in enumerate(subject.traces):
        if traced.losses and not is_finite(traced.loss):
            return [_on_loss(subject, subject.batches[number], number)]
    return _on_gradient(subject) or _on_data_not_finite(subject)


def _on_gradient(subject: Subject) -> list[Verdict]:
    """The gradient of the first loss, which can be infinite where the loss is finite, as that of sqrt at 0."""
    loss = (
        subject.traced.losses[0] if subject.module.automatic_optimization and subject.traced.losses else None
    )
    trained = {name: each for name, each in subject.still.module.named_parameters() if each.requires_grad}
    if loss is None or not loss.requires_grad or not trained:
        return []
    gradients = torch.autograd.grad(loss.sum(), list(trained.values()), allow_unused=True, retain_graph=True)
    wrong = [
        clean_path(name)
        for name, each in zip(trained, gradients, strict=True)
        if each is not None and not each.is_sparse and not is_finite(each)
    ]
    if not wrong:
        return []
    return [
        _verdict(
            [wrong[-1].rpartition(".")[0] or "root"],
            f"the first loss is finite, but its gradient is not, for {len(wrong)} of {len(trained)} parameters; the "
            f"last of them is {wrong[-1]}.",
            "a small constant within sqrt, norm and divisions, such as (x + 1e-8).sqrt()",
        )
    ]


def is_finite(tensor: Tensor) -> bool:
    """Whether every number is finite."""
    total = tensor.detach().sum()
    return bool(total.isfinite()) or bool(tensor.detach().isfinite().all())


def count_of(tensor: Tensor) -> int:
    """How many numbers are not finite."""
    return int((~tensor.detach().isfinite()).sum())


def _on_data_not_finite(subject: Subject) -> list[Verdict]:
    """The first batch read that has such numbers, if its loss is not finite either."""
    for number, batch in enumerate(subject.training_data()):
        if all(is_finite(each) for each in leaves(batch) if each.is_floating_point()):
            continue
        batch = to_device(subject.trainer, batch)
        loss = subject.still.trace(batch, number).losses
        return [] if not loss or is_finite(torch.stack([each.sum() for each in loss])) else [
            _on_loss(subject, batch, number)
        ]  # fmt: skip
    return []


def _on_loss(subject: Subject, batch: Any, number: int) -> Verdict:
    """Where the first number that is not finite comes from: the batch, or a layer."""
    target = target_number(subject)
    for place, leaf in enumerate(leaves(batch)):
        if leaf.is_floating_point() and not is_finite(leaf):
            part = {subject.input_number: "the inputs", target: "the targets"}.get(place, f"part {place}")
            rows = (
                (~leaf.isfinite()).reshape(len(leaf), -1).any(1)
                if leaf.ndim
                else torch.ones(1, dtype=torch.bool)
            )
            return _verdict(
                [],
                f"the loss of batch {number} is not finite: {part} have {count_of(leaf)} NaN or infinite numbers "
                f"in {int(rows.sum())} of {len(rows)} samples.",
                "the data without these samples, or with missing values filled in",
            )
    layer = first_layer_not_finite(subject, batch, number)
    return _verdict(
        [layer] if layer else [],
        f"the loss of batch {number} is NaN or infinite, though its data and all parameters are finite; "
        + (
            f"the first layer with such an output is {layer}." if layer else "every layer's output is finite."
        ),
        "a smaller scale of inputs or weights, and a small constant within log, sqrt and divisions",
    )


def first_layer_not_finite(subject: Subject, batch: Any, number: int) -> str:
    """The first innermost module whose output is not finite; empty if there is none."""
    names = {
        m: clean_path(name)
        for name, m in subject.still.module.named_modules()
        if name and not any(m.children())
    }
    found: list[str] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if not found and not all(is_finite(each) for each in tensors_in(output)):
            found.append(names[module])

    with forward_hooks(names, note):
        subject.still.trace(batch, number)
    return found[0] if found else ""


def _verdict(layers: list[str], message: str, advice: str) -> Verdict:
    return Verdict(_KIND, layers, message, advice, "fail")


CHECKS = (Check("parameters and the first losses are finite", values_are_finite),)
