"""Does each loss function get what it expects: logits, log-probabilities, or outputs that can reach the targets?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from callbacks.checkup.check import Check
from callbacks.checkup.checks.loss_inputs import (
    bends,
    groups,
    is_distribution,
    origin,
    output_range,
    stays_between_0_and_1,
)
from callbacks.checkup.copying import CannotCheckError
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.loss_calls import LOSSES, LossCall, node_of, skip_views
from callbacks.diagnostics.verdict import Severity, Verdict

LOGIT_LOSSES = ("cross_entropy", "binary_cross_entropy_with_logits")
DISTANCES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


def loss_inputs(subject: Subject) -> list[Verdict]:
    """All of the following for every loss function that the step calls with predictions; one verdict for each kind."""
    if not groups(subject, *LOSSES):
        raise CannotCheckError("the step gives no loss function of torch a prediction")
    over_batch = softmax_over_the_batch(subject)
    if over_batch:  # everything else would only repeat it
        return over_batch
    rules = (softmax_first, sigmoid_first, unnormalized, probabilities_into_kl, bent_logits, out_of_reach)
    return [verdict for rule in rules for verdict in rule(subject)[:1]]


def softmax_over_the_batch(subject: Subject) -> list[Verdict]:
    """A softmax that makes the samples of a batch compete: columns sum to 1, rows do not."""
    names = (*LOGIT_LOSSES, "nll_loss", "binary_cross_entropy", "kl_div", *DISTANCES)
    return [
        Verdict(
            "softmax over the batch",
            [],
            f"{calls[0].name} gets a softmax over the {len(calls[0].input)} samples of the batch: each column sums "
            f"to 1, each of the {calls[0].input.shape[1]} rows' classes does not.",
            "dim=1 (or -1) in the softmax",
            "fail",
        )
        for calls in groups(subject, *names)
        if all(_sums_over_samples(call.input) for call in calls)
    ]


def _sums_over_samples(tensor: Tensor) -> bool:
    made_by = origin(tensor)
    if tensor.ndim < 2 or made_by not in ("Softmax", "LogSoftmax") or len(tensor) in (1, tensor.shape[1]):
        return False  # N x N similarities may be normalized along either axis
    values = tensor.detach().exp() if made_by == "LogSoftmax" else tensor
    return is_distribution(values, 0) and not is_distribution(values, 1)


def softmax_first(subject: Subject) -> list[Verdict]:
    """Cross-entropy applies log_softmax itself; applied to probabilities it can hardly fall."""
    return [
        Verdict(
            "softmax before cross-entropy",
            [],
            "cross_entropy gets probabilities: every row is >= 0 and sums to 1. It applies log_softmax itself, so "
            f"with {calls[0].input.shape[1]} classes the loss cannot fall below {_floor(calls[0]):.3g}.",
            "logits into cross_entropy: leave out the softmax",
            "fail",
        )
        for calls in groups(subject, "cross_entropy")
        if all(_has_classes(call) and is_distribution(call.input, 1) for call in calls)
    ]


def _has_classes(call: LossCall) -> bool:
    return call.input.ndim > 1 and call.input.shape[1] > 1


def _floor(call: LossCall) -> float:
    """The least cross-entropy of K logits between 0 and 1: ln(1 + (K - 1) / e)."""
    return math.log1p((call.input.shape[1] - 1) / math.e)


def sigmoid_first(subject: Subject) -> list[Verdict]:
    """BCE with logits applies a sigmoid itself: of a sigmoid it makes 0.5 to 0.73, and of two it is no better."""
    verdicts = []
    for calls in groups(subject, "binary_cross_entropy_with_logits"):
        by_graph = all(origin(call.input) in ("Sigmoid", "Hardsigmoid", "Softmax") for call in calls)
        if by_graph or stays_between_0_and_1(subject, calls):
            message = (
                "binary_cross_entropy_with_logits gets probabilities, all in [0, 1]. It applies a sigmoid itself, so "
                f"it never sees a probability below 0.5, and a sample of class 0 costs at least {math.log(2):.3g}."
            )
            verdicts.append(_sigmoid_verdict(message, "logits: leave out the sigmoid", certain=by_graph))
    for calls in groups(subject, "binary_cross_entropy"):
        if all(_is_sigmoid_of_sigmoid(call.input) for call in calls):
            message = (
                "two sigmoids follow each other before binary_cross_entropy, so its probabilities lie between 0.5 and "
                f"0.73, and a sample of class 0 costs at least {math.log(2):.3g}."
            )
            verdicts.append(_sigmoid_verdict(message, "one sigmoid, or binary_cross_entropy_with_logits"))
    return verdicts


def _sigmoid_verdict(message: str, advice: str, certain: bool = True) -> Verdict:
    return Verdict("sigmoid before BCE with logits", [], message, advice, "fail" if certain else "warn")


def _is_sigmoid_of_sigmoid(tensor: Tensor) -> bool:
    outer = node_of(tensor)
    if outer is None or not outer.name().startswith("Sigmoid"):
        return False
    inner = skip_views(outer.next_functions[0][0])
    return inner is not None and inner.name().startswith("Sigmoid")


def unnormalized(subject: Subject) -> list[Verdict]:
    """NLL needs log-probabilities, whose exponentials sum to 1; of logits it has no lower bound."""
    verdicts = []
    for calls in groups(subject, "nll_loss"):
        calls = [call for call in calls if _has_classes(call)]
        if not calls or not all(_is_unnormalized(call.input) for call in calls):
            continue
        if not _counts_on_normalization(subject, calls[0]):  # such as nll_loss(x) + logsumexp(x)
            continue
        probabilities = all(is_distribution(call.input, 1) for call in calls)
        worst = max(call.input.detach().double().logsumexp(1).abs().max().item() for call in calls)
        what = (
            "probabilities instead of their logarithms"
            if probabilities
            else f"no log-probabilities: the logarithm of their sum is up to {worst:.3g} away from 0, so the loss can "
            "fall without end while nothing is learned"
        )
        advice = "F.cross_entropy on the logits, or log_softmax before nll_loss"
        severity: Severity = "warn" if probabilities else "fail"
        verdicts.append(Verdict("logits into NLL loss", [], f"nll_loss gets {what}.", advice, severity))
    return verdicts


def _is_unnormalized(tensor: Tensor) -> bool:
    tolerance = 1e-3 if tensor.dtype in (torch.float32, torch.float64) else 0.1
    return bool((tensor.detach().double().logsumexp(1).abs() > tolerance).any())


def _counts_on_normalization(subject: Subject, call: LossCall) -> bool:
    """Whether adding the same number to all logits of a sample changes the loss; then they had to be normalized."""
    (gradient,) = torch.autograd.grad(
        subject.traced.loss, call.input, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return bool(gradient.sum(1).abs().max() > 1e-3 * gradient.abs().max())


def probabilities_into_kl(subject: Subject) -> list[Verdict]:
    """The first argument of kl_div is a logarithm."""
    return [
        Verdict(
            "probabilities into KL divergence",
            [],
            "kl_div gets probabilities as its first argument: they are >= 0 and sum to 1. It expects their logarithms.",
            "log_softmax instead of softmax for the first argument of kl_div",
            "fail",
        )
        for calls in groups(subject, "kl_div")
        if any(all(_distributed_along(call.input, axis) for call in calls) for axis in (1, -1))
    ]


def _distributed_along(tensor: Tensor, axis: int) -> bool:
    return tensor.ndim > max(axis, 0) and tensor.shape[axis] > 1 and is_distribution(tensor, axis)


def bent_logits(subject: Subject) -> list[Verdict]:
    """Logits need both signs and any size; a relu, a sigmoid or a tanh takes that away."""
    verdicts = []
    for calls in groups(subject, *LOGIT_LOSSES):
        found = {bends(call.input) for call in calls}
        function, multiclass = found.pop(), calls[0].name == "cross_entropy"
        if found or not function or (function == "sigmoid" and not multiclass):
            continue
        if multiclass and not all(_has_classes(call) for call in calls):
            continue
        what = f"a {function} stands between the last layer and {calls[0].name}"
        if function == "sigmoid":
            text = f"{what}, so with {calls[0].input.shape[1]} classes the loss cannot fall below {_floor(calls[0]):.3g}."
        elif function in ("tanh", "softsign", "hardtanh"):
            text = f"{what}, so no logit can leave [-1, 1] and no answer can be certain."
        else:
            text = f"{what}, so logits cannot be negative and get no gradient where they would be."
        severity: Severity = "fail" if function == "sigmoid" else "warn"
        advice = f"the output of the last layer itself, without {function}"
        verdicts.append(Verdict("nonlinearity on the logits", [], text, advice, severity))
    return verdicts


def out_of_reach(subject: Subject) -> list[Verdict]:
    """The head's nonlinearity bounds the outputs; targets beyond the bounds cost error that no training removes."""
    verdicts = []
    for calls in groups(subject, *DISTANCES):
        found = {output_range(call.input) for call in calls}
        function, low, high = found.pop()
        if found or not function:
            continue
        targets = torch.cat([call.target.detach().double().flatten() for call in calls])
        missed = targets - targets.clamp(low, high)
        share = (missed != 0).double().mean().item()
        floor = (missed.square().mean() / targets.var().clamp_min(1e-30)).item() if len(targets) > 1 else 0.0
        if share <= 0.01 or floor <= 0.01:
            continue
        verdicts.append(
            Verdict(
                "output cannot reach the targets",
                [],
                f"the network ends in a {function}, so its outputs lie in [{low:g}, {high:g}], but {share:.1%} of the "
                f"targets lie outside (from {targets.min():.3g} to {targets.max():.3g}); {floor:.0%} of their "
                "variance can never be explained.",
                f"a last layer without {function}, or targets scaled into [{low:g}, {high:g}]",
                "fail" if floor >= 0.1 else "warn",
            )
        )
    return verdicts


CHECKS = (
    Check(
        "every loss function gets what it expects (logits, log-probabilities, a possible output)", loss_inputs
    ),
)
