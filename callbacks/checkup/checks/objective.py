"""Is the loss the one to minimize, and does its weighting of classes help the rare ones?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from callbacks.checkup.batches import leaves
from callbacks.checkup.check import Check
from callbacks.checkup.checks.targets import training_targets
from callbacks.checkup.copying import CannotCheckError, Traced
from callbacks.checkup.functions import FunctionCall
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.loss_calls import LossCall
from callbacks.diagnostics.verdict import Verdict

_FEWEST = 16  # samples that must all be pushed away: by chance with a probability of 2e-5


def loss_is_maximized(subject: Subject) -> list[Verdict]:
    """The gradient of the returned loss against that of the one loss function in it: opposite means uphill.

    A step with several losses may play them against each other on purpose.
    """
    if not any(traced.calls for traced in subject.traces):
        return likelihood_is_minimized(subject)
    cosines = []
    for traced in subject.traces:
        calls = [call for call in traced.calls if call.input.requires_grad and isinstance(call.value, Tensor)]
        if len(calls) != 1 or len(traced.losses) != 1:
            raise CannotCheckError("the step does not have exactly one loss function of torch")
        if not _falls_with_it(traced, calls[0]):
            return []
        cosines.append(_cosine(subject, traced, calls[0]))
    if max(cosines) > -0.99:
        return []
    name = calls[0].name
    return [
        Verdict(
            "loss is maximized",
            [],
            f"the loss falls when {name} rises: their gradients are opposite (cosine {max(cosines):.3f}), "
            f"so training makes {name} as large as it can.",
            f"{name} itself as the loss, without the minus sign",
            "fail",
        )
    ]


def _falls_with_it(traced: Traced, call: LossCall) -> bool:
    """Whether the loss falls alike with every value that the loss function returned; rewards would weight them."""
    if not traced.loss.requires_grad:
        return False
    gradient = _gradient(traced.loss, call.value)
    return bool(gradient.max() < 0 and gradient.max() < 0.999 * gradient.min())


def _cosine(subject: Subject, traced: Traced, call: LossCall) -> float:
    """Between the gradients of the loss and of the sum of the loss function's values, over all parameters."""
    parameters = [each for each in subject.still.module.parameters() if each.requires_grad]
    of_loss, of_call = (
        torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
        for value in (traced.loss, call.value.sum())
    )
    dot, first, second = (
        sum(float((a.double() * b.double()).sum()) for a, b in pairs)
        for pairs in (
            zip(of_loss, of_call, strict=True),
            zip(of_loss, of_loss, strict=True),
            zip(of_call, of_call, strict=True),
        )
    )
    return dot / math.sqrt(first * second) if first * second > 0 else 0.0


def likelihood_is_minimized(subject: Subject) -> list[Verdict]:
    """The same for losses written by hand: the loss may not push every prediction away from its target."""
    traced, calls = subject.functions
    pushed = [_pushed_away(subject, traced.loss, call) for call in calls]
    if not any(each is not None for each in pushed):
        raise CannotCheckError(
            "the step calls no loss function of torch, and no known one is written by hand"
        )
    if not any(pushed):
        return []
    return [
        Verdict(
            "loss is maximized",
            [],
            "the loss falls when the predictions move away from their targets, at every single sample: it is a "
            "likelihood, or an error with a minus sign.",
            "the minus of this loss, such as -log_prob.mean()",
            "fail",
        )
    ]


def _pushed_away(subject: Subject, loss: Tensor, call: FunctionCall) -> bool | None:
    """Whether a step against the gradient moves all predictions of this call away from a target; None without one."""
    if call.name == "log_softmax" and call.output.ndim == 2 and call.output.requires_grad:
        gradient = _gradient(loss, call.output)
        chosen = gradient != 0
        if not bool((chosen.sum(1) == 1).all()):
            return None
        if not any(torch.equal(chosen.long().argmax(1), each.flatten()) for each in leaves(subject.batch)):
            return None
        weights = gradient[chosen]
        return bool(weights.min() > 0 and weights.max() < 1.001 * weights.min())
    if call.name.strip("_") not in ("sub", "rsub") or len(call.tensors) != 2:
        return None
    prediction, target = sorted(call.tensors, key=lambda each: not each.requires_grad)
    if not prediction.requires_grad or target.requires_grad or prediction.shape != target.shape:
        return None
    if not any(torch.equal(target.flatten(), each.flatten().to(target)) for each in leaves(subject.batch)):
        return None
    signs = (_gradient(loss, prediction) * (prediction - target).detach()).flatten()
    return len(signs) >= _FEWEST and bool((signs < 0).all())


def _gradient(loss: Tensor, tensor: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(
        loss, tensor, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return gradient


def class_weights(subject: Subject) -> list[Verdict]:
    """Weights are there for rare classes; larger ones for frequent classes make the imbalance worse."""
    calls = [call for call in subject.traced.calls if call.input.requires_grad]
    weighted = [call for call in calls if call.options.get("weight") is not None and call.name != "kl_div"]
    positive = [call for call in calls if call.options.get("pos_weight") is not None]
    if not weighted and not positive:
        return []  # no weights, none inverted
    verdicts = []
    for call in weighted:
        if call.name in ("cross_entropy", "nll_loss") and not call.target.is_floating_point():
            verdicts += _inverted(call.options["weight"].double().cpu(), _counts(subject, call))
    for call in positive:
        targets = training_targets(subject, call).double()
        for weight, column in zip(
            call.options["pos_weight"].flatten().tolist(), _columns(call, targets), strict=False
        ):
            counts = torch.stack([(column < 0.5).sum(), (column >= 0.5).sum()]).double()
            verdicts += _inverted(torch.tensor([1.0, weight]).double(), counts)
    return verdicts[:1]


def _counts(subject: Subject, call: LossCall) -> Tensor:
    """How often each class occurs in the training data that were read."""
    targets = training_targets(subject, call).long()
    classes = call.input.shape[1 if call.input.ndim > 1 else 0]
    return torch.bincount(targets[(targets >= 0) & (targets < classes)], minlength=classes).double()


def _columns(call: LossCall, targets: Tensor) -> list[Tensor]:
    """The targets by label: one column for each of the weights."""
    labels = call.options["pos_weight"].numel()
    return [targets] if labels == 1 else list(targets.reshape(-1, labels).T)


def _inverted(weights: Tensor, counts: Tensor) -> list[Verdict]:
    """A verdict if weights rise with frequency: rank correlation above 0.5, or of two classes in proportion to it."""
    seen = counts > 0
    weights, counts = weights[seen], counts[seen]
    if len(counts) < 2 or weights.min() <= 0 or counts.sum() < 50 or not _unequal(counts):
        return []
    if weights.max() / weights.min() < 1.2:
        return []
    if len(counts) == 2:
        ratio = (weights[1] / weights[0]).log() / (counts[1] / counts[0]).log()
        inverted, measure = bool(0.75 < ratio < 1.33), "weights in proportion to the frequencies"
    else:
        correlation = _rank_correlation(weights, counts)
        weighted = weights * counts
        worse = bool(weighted.max() / weighted.min() > counts.max() / counts.min())
        inverted, measure = correlation > 0.5 and worse, f"a rank correlation of {correlation:.2f}"
    if not inverted:
        return []
    most, least = int(counts.argmax()), int(counts.argmin())
    return [
        Verdict(
            "class weights inverted",
            [],
            f"the class with {counts[most]:.0f} of {counts.sum():.0f} samples has weight {weights[most]:.3g}, the one "
            f"with {counts[least]:.0f} has {weights[least]:.3g}; over all classes this is {measure}, "
            "so the imbalance grows.",
            "weights such as counts.sum() / (len(counts) * counts), large for rare classes; pos_weight is "
            "negatives / positives",
            "warn",
        )
    ]


def _rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's; equal values share the mean of their ranks."""
    ranks = torch.stack(
        [(x[:, None] > x).double().sum(1) + (x[:, None] == x).double().sum(1) / 2 for x in (first, second)]
    )
    return torch.corrcoef(ranks)[0, 1].item()


def _unequal(counts: Tensor) -> bool:
    """Whether the largest class has 1.5 times the smallest, and not by chance (4 deviations)."""
    most, least = counts.max().item(), counts.min().item()
    return most / least > 1.5 and (most - least) / math.sqrt(most + least) > 4


CHECKS = (
    Check("the loss falls when its loss function falls", loss_is_maximized),
    Check("class weights are larger for rarer classes", class_weights),
)
