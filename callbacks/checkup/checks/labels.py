"""Are the targets the right ones?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from callbacks.checkup.check import Check
from callbacks.checkup.checks.targets import training_targets
from callbacks.checkup.checks.tokens import Tokens, all_tokens, future_influence
from callbacks.checkup.copying import CannotCheckError, DoesNotApplyError
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.verdict import Verdict


def first_label(subject: Subject) -> list[Verdict]:
    """Labels 1 to K next to K + 1 outputs: the first output stands for a class that never comes."""
    for call in subject.traced.calls:
        if call.name in ("cross_entropy", "nll_loss") and call.input.requires_grad and call.input.ndim == 2:
            if call.target.is_floating_point() or call.options.get("ignore_index") == 0:
                continue
            _refuse_tokens(subject)
            labels = training_targets(subject, call)
            return _missing_zero(labels[labels >= 0].long(), call.input.shape[1])
    raise DoesNotApplyError("the step has no class for each sample")


def _refuse_tokens(subject: Subject) -> None:
    """Token 0 is often kept for padding."""
    if any(call.name == "embedding" for call in subject.functions[1]):
        raise CannotCheckError("among tokens, 0 may be kept free on purpose")


def _missing_zero(labels: Tensor, outputs: int) -> list[Verdict]:
    counts = torch.bincount(labels, minlength=outputs).double()
    if outputs < 3 or len(counts) > outputs or counts[0] > 0 or counts[1:].min() == 0:
        return []
    rarest = (counts[1:].min() / counts.sum()).item()
    if len(labels) * math.log1p(-min(rarest, 0.999)) > math.log(
        1e-4
    ):  # a class as rare as the rarest may be missing
        return []
    return [
        Verdict(
            "labels do not begin at 0",
            [],
            f"the network has {outputs} outputs, but class 0 is not among {len(labels)} training labels, while classes 1 "
            f"to {outputs - 1} all are: output 0 stands for nothing.",
            f"targets that are 1 smaller (y - 1), and {outputs - 1} outputs",
            "warn",
        )
    ]


def token_targets(subject: Subject) -> list[Verdict]:
    """A language model learns the next token: not the one that it is given, nor the one after the next."""
    found = all_tokens(subject)
    lags = {tokens.lag for tokens in found}
    if 1 in lags:  # also networks that predict several tokens ahead
        return []
    if lags == {None}:
        if all(tokens.is_monotonous for tokens in found):
            raise CannotCheckError("neighboring tokens are mostly the same")
        raise DoesNotApplyError(
            "the targets are not the tokens there or just after, as with tags or masked tokens"
        )
    tokens = next(each for each in found if each.lag in (0, 2))
    share = f"{tokens.agreement(tokens.lag or 0):.1%} of the positions"
    if tokens.lag == 2:
        return [
            Verdict(
                "targets shifted twice",
                [],
                f"at {share} the target is not the next token but the one after it: input and target were shifted in two "
                "places, such as the data set and the model.",
                "one shift by one token; a Hugging Face model shifts its `labels` itself",
                "warn",
            )
        ]
    return [_inputs_are_targets(subject, tokens, share)]


def _inputs_are_targets(subject: Subject, tokens: Tokens, share: str) -> Verdict:
    """Copying is a fault for a network that only sees the past; an autoencoder does it on purpose."""
    text = f"at {share} the target is the token that the network is given there"
    if future_influence(subject, tokens) < 1e-9:
        text += "; it sees no later token, so it is no autoencoder, and learns to copy."
        return Verdict(
            "targets are the inputs",
            [],
            text,
            "targets one token ahead: inputs x[:, :-1] and targets x[:, 1:]",
            "fail",
        )
    return Verdict(
        "targets are the inputs",
        [],
        f"{text}, as in an autoencoder.",
        "masked inputs, or targets one token ahead, if it is meant to predict",
        "info",
    )


def padding_in_loss(subject: Subject) -> list[Verdict]:
    """Positions that only hold padding have nothing to learn from; the loss should leave them out."""
    traced, calls = subject.functions
    own = {
        id(call.argument(0, "input")): call.argument(2, "padding_idx")
        for call in calls
        if call.name == "embedding"
    }
    for tokens in all_tokens(subject):
        padding = own.get(id(tokens.ids))
        if padding is None and tokens.lag == 1:
            padding = _looks_like_padding(tokens)
        if padding is None:
            continue
        length = tokens.targets.shape[tokens.axis]
        is_padding = _at_the_ends(tokens.ids == padding, tokens.axis).narrow(tokens.axis, 0, length)
        counted = _counted(traced.loss, traced.calls[tokens.number].input, tokens) & is_padding
        if bool(counted.any()):
            return [
                Verdict(
                    "padding counts in the loss",
                    [],
                    f"{is_padding.double().mean():.0%} of the positions hold padding (token {padding}), and the loss "
                    f"counts {counted.sum()} of these {is_padding.sum()}.",
                    f"ignore_index={padding} in the loss, or -100 as the target of padding",
                    "warn",
                )
            ]
    return []


def _looks_like_padding(tokens: Tokens) -> int | None:
    """The last token of some sequence, if it only ever stands at the ends, in runs of different lengths of 2 and more."""
    last = tokens.ids.select(tokens.axis, -1)
    for candidate in last.unique().tolist()[:8]:
        runs = _at_the_ends(tokens.ids == candidate, tokens.axis).sum(tokens.axis)
        if (runs > 1).sum() >= 3 and len(runs[runs > 1].unique()) > 1:
            return int(candidate)
    return None


def _counted(loss: Tensor, predictions: Tensor, tokens: Tokens) -> Tensor:
    """At which positions the loss depends on the prediction; in the shape of the targets."""
    (gradient,) = torch.autograd.grad(
        loss, predictions, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    gradient = gradient.movedim(1, -1) if gradient.ndim > 2 else gradient
    return (gradient.reshape(*tokens.targets.shape, -1) != 0).any(-1)


def _at_the_ends(padding: Tensor, axis: int) -> Tensor:
    """The padding if it only stands at one end of every sequence, twice or more in one; else none: the token means
    something.
    """
    runs = padding.long().diff(dim=axis).abs().sum(axis)
    long_enough = bool((padding.sum(axis) > 1).any())
    return padding if long_enough and bool((runs <= 1).all()) else torch.zeros_like(padding)


CHECKS = (
    Check("labels begin at 0", first_label),
    Check("the targets of a sequence are its next tokens", token_targets),
    Check("padding does not count in the loss", padding_in_loss),
)
