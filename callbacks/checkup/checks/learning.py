"""Can the network learn a few samples by heart, and does it need their inputs for that?

The only checks that train, on copies: first with the training's own optimizer, then with Adam, which tells a network
that cannot learn from an optimizer that is slow.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from callbacks.checkup.batches import leaves, size_of
from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError, Copy
from callbacks.checkup.samples import has_supervised_loss
from callbacks.checkup.subject import Subject, rows_of
from callbacks.diagnostics.loss_calls import LossCall
from callbacks.diagnostics.verdict import Severity, Verdict

_ROWS, _STEPS = 16, 150
_SECONDS = 1.0  # of this thread alone, so that a busy machine does not change what is found
_FEWEST_STEPS = 50
_FITTED = 0.9  # of the loss of the best constant answer
_ADAM_LRS = (3e-3, 3e-4)
_ALIKE = 0.02


@dataclass
class Fit:
    """How far some steps on the same samples brought the loss.

    Args:
        first, best: the loss before the first step, and its least value, in training or evaluation mode.
        steps: that were made.
    """

    first: float
    best: float
    steps: int


def one_batch_can_be_fitted(subject: Subject) -> list[Verdict]:
    """A few samples can be learned by heart, and only with their inputs."""
    check_that_it_is_simple(subject)
    batch = few_rows(subject)
    constant = constant_answer(subject, batch)
    goal = None if constant is None else _FITTED * constant
    own = fit(subject, batch, goal=goal)
    if constant is None or goal is None:
        return _on_the_fall(own)
    if own.best < goal:
        return []
    for lr in _ADAM_LRS:
        adam = fit(subject, batch, lr, goal)
        if adam.best < goal:
            return [_slow(own, adam, lr, constant)]
        if min(own.steps, adam.steps) < _FEWEST_STEPS:
            raise CannotCheckError(f"there was time for {min(own.steps, adam.steps)} steps only")
    severity: Severity = "warn" if has_room(subject, batch) else "info"
    cannot = _verdict(
        f"after {own.steps} steps on the same {size_of(batch)} samples the loss is {own.best:.3g}; the best constant "
        f"answer has {constant:.3g}. Adam gets no further ({adam.best:.3g}).",
        "the other findings first; then fewer layers, and to print what the loss compares",
        severity,
    )
    blank = torch.zeros_like(leaves(batch)[subject.input_number])
    without = fit(subject, subject.with_inputs(batch, blank), lr)
    if abs(without.best - adam.best) > _ALIKE * constant:
        return [cannot]
    message = f"with all inputs 0, the same steps reach a loss of {without.best:.3g}; with the inputs {adam.best:.3g}."
    advice = "to print what each layer gives for two samples: somewhere they become equal"
    return [cannot, Verdict("inputs make no difference", [], message, advice, severity, because=cannot.kind)]


def _slow(own: Fit, adam: Fit, lr: float, constant: float) -> Verdict:
    return _verdict(
        f"{own.steps} steps on the same samples bring the loss from {own.first:.3g} to {own.best:.3g}, where a constant "
        f"answer has {constant:.3g}; Adam with lr={lr:g} reaches {adam.best:.3g} in {adam.steps}.",
        "a larger learning rate, or another optimizer",
        "info",
    )


def has_room(subject: Subject, batch: Any) -> bool:
    """Whether there are so many weights that they can hold these targets: ten for each."""
    weights = sum(each.numel() for each in subject.module.parameters() if each.requires_grad)
    return weights >= 10 * subject.still.trace(batch).calls[0].input.numel()


def check_that_it_is_simple(subject: Subject) -> None:
    """
    Raises:
        CannotCheckError: if the loss is not what must fall, or the step has no loss.
    """
    if not subject.module.automatic_optimization or len(subject.trainer.optimizers) != 1:
        raise CannotCheckError("several losses play against each other, or the step is made by hand")
    if not subject.traced.losses or not bool(subject.traced.loss.isfinite()):
        raise CannotCheckError("the first loss is not a finite number")


def few_rows(subject: Subject) -> Any:
    """Some samples of the first batch that a step accepts; at most 16."""
    size = size_of(subject.batch)
    if size <= _ROWS:
        return subject.batch
    batch = rows_of(subject.batch, torch.linspace(0, size - 1, _ROWS).long().to(subject.inputs.device))
    try:
        losses = subject.copy().trace(batch).losses
    except CannotCheckError:  # the step wants all
        return subject.batch
    return batch if losses else subject.batch


def constant_answer(subject: Subject, batch: Any) -> float | None:
    """The loss of the best answer that is the same for all samples; None if the loss function is not a usual one."""
    if not has_supervised_loss(subject) or len(subject.traced.calls) != 1:
        return None
    traced = subject.still.trace(batch)
    call = traced.calls[0]
    alone = (
        isinstance(call.value, Tensor)
        and call.value.ndim == 0
        and bool(torch.isclose(call.value, traced.loss))
    )
    if not alone or (answer := best_constant(call)) is None:
        return None
    value = loss_of(call, answer)
    return value if value > 1e-3 else None  # all targets alike: a constant is perfect


def best_constant(call: LossCall) -> Tensor | None:
    """Logits or numbers of the best constant answer, in the shape of one sample's output."""
    target, output = call.target.detach(), call.input.detach().float()
    if call.name == "cross_entropy" and output.ndim == 2 and not (target < 0).any():
        shares = (
            target.float() if target.ndim == 2 else F.one_hot(target.clamp(min=0), output.shape[1]).float()
        )
        return shares.mean(0).clamp(min=1e-6).log()
    if target.shape != output.shape:
        return None
    if call.name == "binary_cross_entropy_with_logits":
        return target.float().mean(0).clamp(1e-6, 1 - 1e-6).logit()
    if call.name == "binary_cross_entropy":
        return target.float().mean(0).clamp(1e-6, 1 - 1e-6)
    if call.name == "mse_loss":
        return target.float().mean(0)
    return target.float().median(0).values if call.name == "l1_loss" else None


def loss_of(call: LossCall, answer: Tensor) -> float:
    """The same loss function's value for this answer to every sample."""
    options = {name: value for name, value in call.options.items() if value is not None}
    return float(getattr(F, call.name)(answer.expand_as(call.input), call.target, **options))


def fit(subject: Subject, batch: Any, adam_lr: float | None = None, goal: float | None = None) -> Fit:
    """Train a copy on these samples, with its own optimizer or with Adam, until the loss is below the goal."""
    copy = subject.copy()
    for optimizer in copy.optimizers:
        for group in optimizer.param_groups:  # a warm-up begins near 0
            group["lr"] = max(float(group["lr"]), group.get("initial_lr", 0.0), group.get("max_lr", 0.0))
    adam = None if adam_lr is None else torch.optim.Adam(_trained(copy), lr=adam_lr)
    until, losses = time.thread_time() + _SECONDS, [float(copy.trace(batch).loss)]
    for number in range(_STEPS):
        losses.append(float(copy.step(batch, number)) if adam is None else _adam_step(copy, adam, batch))
        reached = goal is not None and losses[-1] < goal
        if reached or time.thread_time() > until or losses[-1] != losses[-1]:
            break
    copy.module.eval()
    with torch.no_grad():
        losses.append(float(copy.trace(batch).loss))
    finite = [each for each in losses if each == each]
    return Fit(losses[0], min(finite), len(losses) - 2)


def _trained(copy: Copy) -> list[Tensor]:
    return [
        each for optimizer in copy.optimizers for group in optimizer.param_groups for each in group["params"]
    ]


def _adam_step(copy: Copy, adam: torch.optim.Adam, batch: Any) -> float:
    loss = copy.trace(batch).loss
    adam.zero_grad()
    loss.backward()
    adam.step()
    return float(loss)


def _on_the_fall(own: Fit) -> list[Verdict]:
    if own.steps < _FEWEST_STEPS or own.best < own.first - 0.01 * abs(own.first):
        return []
    return [
        _verdict(
            f"{own.steps} steps on the same samples bring the loss from {own.first:.3g} to {own.best:.3g} only.",
            "a larger learning rate; or never mind if this loss need not fall",
            "info",
        )
    ]


def _verdict(message: str, advice: str, severity: Severity) -> Verdict:
    return Verdict("one batch cannot be fitted", [], message, advice, severity)


CHECKS = (Check("a few samples can be learned by heart", one_batch_can_be_fitted, slow=True),)
