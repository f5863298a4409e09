"""Where values go on but gradients do not: detach, .data, .item(), no_grad, argmax."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from callbacks.checkup.batches import with_leaf
from callbacks.checkup.check import Check
from callbacks.checkup.checks.steps import some
from callbacks.checkup.checks.wiring import leaves_of_loss, owned
from callbacks.checkup.copying import CannotCheckError, DoesNotApplyError, Traced
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.verdict import Verdict

MAX_LAYERS = 16  # of which the values are changed, one after the other


def gradients_reach_what_matters(subject: Subject) -> list[Verdict]:
    """Every parameter that is to train and changes the prediction gets a gradient.

    Parts in eval mode, those that no optimizer holds, and those that the step moves in another way (an average of
    other weights) are meant to be cut off. So may be parts that only change the loss, such as a network that gives
    targets, and those that run under no_grad: a note at most.
    """
    suspects = list(_without_gradient(subject))
    if not suspects:
        return []
    before = _values(subject.still.trace(subject.batch))
    cut, noted = [], []
    for name, parameters in suspects[:MAX_LAYERS]:
        loss_changes, prediction_changes = _changes(subject, parameters, before)
        if prediction_changes and name not in subject.watch.without_gradient:
            cut.append(name or "root")
        elif loss_changes or prediction_changes:
            noted.append(name or "root")
    if not _same(before, _values(subject.still.trace(subject.batch))):
        raise CannotCheckError("the same step gives another loss each time")
    verdicts = []
    if cut:
        verdicts.append(_cut_off(cut, "the prediction depends on", "warn"))
    if noted:
        verdicts.append(_cut_off(noted, "the loss depends on", "info"))
    return verdicts


def _cut_off(layers: list[str], how: str, severity: str) -> Verdict:
    return Verdict(
        "cut off from the loss",
        layers,
        f"{how} the values of {len(layers)} layers ({some(layers)}), which the optimizer is to train, but their "
        "parameters get no gradient.",
        "to leave out detach(), .data, .item(), argmax or no_grad behind them; or requires_grad_(False) if it is meant",
        "warn" if severity == "warn" else "info",
    )


def _without_gradient(subject: Subject) -> Iterator[tuple[str, list[nn.Parameter]]]:
    """Modules with parameters that an optimizer is to train, but that get no gradient."""
    steps, used = subject.steps, leaves_of_loss(subject)
    optimizers = list(subject.still.optimizers)
    if not subject.module.automatic_optimization:  # the step may train them in turn
        pairs = zip(optimizers, steps.copy.optimizers, strict=True)
        optimizers = [still for still, other in pairs if id(other) in steps.stepped]
    held = owned(optimizers)
    got = set(steps.names_of(steps.gradients.got))
    names = {id(p): name for name, p in subject.still.module.named_parameters()}
    for path, part in subject.still.module.named_modules():
        own = [p for p in part.parameters(recurse=False) if p.requires_grad and id(p) in held]
        own = [p for p in own if id(p) not in used and names[id(p)] not in got]
        if own and part.training and not any(steps.moved(names[id(p)]) for p in own):
            yield path, own


def _values(traced: Traced) -> tuple[Tensor, Tensor | None]:
    """The loss, and the prediction if it has a gradient."""
    try:
        prediction: Tensor | None = traced.prediction
    except CannotCheckError:
        prediction = None
    trained = prediction is not None and prediction.requires_grad
    return (
        traced.loss.detach().clone(),
        prediction.detach().clone() if trained and prediction is not None else None,
    )


def _changes(subject: Subject, parameters: list[nn.Parameter], before: Any) -> tuple[bool, bool]:
    """Whether other values of these parameters change the loss, and the prediction."""
    saved = [p.detach().clone() for p in parameters]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in parameters:
            noise = torch.randn(p.shape, generator=generator).to(p)
            p.add_(noise * (p.abs().mean() + 0.1))
    try:
        loss, prediction = _values(subject.still.trace(subject.batch))
    finally:
        with torch.no_grad():
            for p, values in zip(parameters, saved, strict=True):
                p.copy_(values)
    other = before[1]
    changed = prediction is not None and other is not None and not torch.equal(prediction, other)
    return not torch.equal(loss, before[0]), changed


def _same(first: Any, second: Any) -> bool:
    pairs = zip(first, second, strict=True)
    return all(a is b is None or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


# --- within a sequence ---


def gradients_reach_earlier_steps(subject: Subject) -> list[Verdict]:
    """The last prediction's gradient reaches every time step on which its value depends."""
    x = subject.inputs
    if x.ndim != 3 or not x.is_floating_point() or x.shape[1] < 3:
        raise DoesNotApplyError("the input is no sequence of vectors: (N, T, F) with T >= 3")
    if not subject.module.automatic_optimization:
        raise CannotCheckError("with manual optimization the graph is gone after the step")
    reach = _steps_with_gradient(subject, x)
    length = x.shape[1]
    if reach in (0, length) or not _value_depends(subject, x, length - 1 - reach):
        return []
    return [
        Verdict(
            "cut off from the loss",
            [],
            f"the last prediction depends on the input {reach} steps before the last, but its gradient is exactly 0 "
            f"there: it reaches only the last {reach} of {length} steps, so the network learns nothing that spans more.",
            "to keep the state's graph within a sequence: no detach() or .data from step to step",
            "warn" if reach == 1 else "info",
        )
    ]


def _last(prediction: Tensor, x: Tensor) -> Tensor:
    """The prediction of the last of T steps, from (N, T, ...), (N * T, ...) or (N, C, T); else all of it.

    Args:
        prediction: one per step or per sequence.
        x: (N, T, F).
    """
    size, length = x.shape[:2]
    if prediction.ndim > 1 and prediction.shape[:2] == (size, length):
        return prediction[:, -1]
    if prediction.ndim and len(prediction) == size * length:
        return prediction.unflatten(0, (size, length))[:, -1]
    if prediction.ndim == 3 and prediction.shape[2] == length:
        return prediction[..., -1]
    return prediction


def _steps_with_gradient(subject: Subject, x: Tensor) -> int:
    """How many time steps, counted from the end, get a gradient from the last prediction."""
    leaf = x.detach().clone().requires_grad_()
    last = _last(subject.still.trace(subject.with_inputs(subject.batch, leaf)).prediction, x)
    if not last.requires_grad or not last.is_floating_point():
        raise CannotCheckError("the prediction has no gradient")
    weights = torch.randn(last.shape, generator=torch.Generator().manual_seed(0)).to(last)
    (gradient,) = torch.autograd.grad((last * weights).sum(), leaf, allow_unused=True)
    if gradient is None:
        return 0
    arrived = (gradient != 0).any(0).any(-1)  # (T,)
    return x.shape[1] - int(arrived.int().argmax()) if arrived.any() else 0


def _value_depends(subject: Subject, x: Tensor, step: int) -> bool:
    """Whether the last prediction changes with the input at one time step."""
    other = x.detach().clone()
    other[:, step] = other[:, step].flip(0) + 1
    batches = [with_leaf(subject.batch, subject.input_number, each) for each in (x, other, x)]
    first, changed, again = [
        _last(subject.still.trace(batch).prediction, x).detach().clone() for batch in batches
    ]
    return torch.equal(first, again) and not torch.equal(first, changed)


# --- layers that nothing uses ---


def every_layer_is_used(subject: Subject) -> list[Verdict]:
    """The training step calls every module that has trainable parameters, or uses their values."""
    steps, used = subject.steps, leaves_of_loss(subject)
    if not subject.module.automatic_optimization and len(steps.stepped) < len(steps.copy.optimizers):
        raise CannotCheckError("some optimizer makes no step in the first batches")
    active = set(steps.names_of(steps.gradients.got))
    module, called = subject.still.module, subject.watch.called
    unused = []
    for name, part in module.named_modules():
        own = [(f"{name}.{key}", p) for key, p in part.named_parameters(recurse=False) if p.requires_grad]
        if not name or name in called or not own or any(id(p) in used or key in active for key, p in own):
            continue
        if not _is_one_of_many(module, name):
            unused.append(name)
    if not unused:
        return []
    return [
        Verdict(
            "unused layers",
            unused,
            f"the training step calls {len(unused)} modules with trainable parameters in none of {len(steps.losses)} "
            f"batches ({some(unused)}), and they get no gradient.",
            "to call them in forward, or to remove them",
            "info",
        )
    ]


def _is_one_of_many(module: nn.Module, name: str) -> bool:
    """Whether it is inside a list of modules, of which a step may use a few: experts, stochastic depth."""
    path = name.split(".")
    parents = [module.get_submodule(".".join(path[:k])) for k in range(len(path))]
    return any(isinstance(parent, nn.ModuleList | nn.ModuleDict) for parent in parents)


CHECKS = (
    Check("gradients reach every parameter that changes the prediction", gradients_reach_what_matters),
    Check("the training step uses every layer", every_layer_is_used),
    Check("gradients reach earlier time steps", gradients_reach_earlier_steps),
)
