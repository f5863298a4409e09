"""Are attention weights normalized over the positions that they weight?"""

from __future__ import annotations

from callbacks.checkup.check import Check
from callbacks.checkup.checks.loss_inputs import is_distribution
from callbacks.checkup.copying import DoesNotApplyError
from callbacks.checkup.functions import PRODUCTS, FunctionCall
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.loss_calls import node_of, skip_views
from callbacks.diagnostics.verdict import Verdict

# Between the scores and their softmax: scaling, and masks that are added or filled in.
_AFTER_SCORES = ("Mul", "Div", "Add", "Sub", "MaskedFill", "Where", "Clamp", "Tanh")
_SCORES = ("Bmm", "Mm", "UnsafeView")


def attention_axis(subject: Subject) -> list[Verdict]:
    """Attention sums values with weights; the weights of one output must sum to 1 over what is summed.

    Attention is softmax(scores) @ values with square scores that are themselves a product of two computed tensors.
    Soft assignments to clusters or slots (DiffPool, NetVLAD, slot attention, routing) are normalized over the other axis
    on purpose; their scores are not square, or not a product. torch's own attention is right by construction.
    """
    _, calls = subject.functions
    products = [call for call in calls if call.name in PRODUCTS and _is_attention(call)]
    if not products:
        raise DoesNotApplyError("the step has no attention of its own: no softmax of scores times values")
    wrong = [call for call in products if not is_distribution(call.tensors[0], -1)]
    for call in wrong:
        weights = call.tensors[0]
        axis = next(
            (k for k in range(weights.ndim - 1) if weights.shape[k] > 1 and is_distribution(weights, k)), None
        )
        if axis is None:
            continue
        return [
            Verdict(
                "attention weights over the wrong axis",
                [],
                f"attention weights of shape {tuple(weights.shape)} sum to 1 over axis {axis}, but {call.name} sums over "
                f"the last, where their sums lie between {weights.sum(-1).min():.3g} and {weights.sum(-1).max():.3g}.",
                "softmax(dim=-1) on the scores",
                "warn",
            )
        ]
    return []


def _is_attention(call: FunctionCall) -> bool:
    """Whether its first factor is a softmax of square scores (..., T, T), and it sums over the last axis of it."""
    if len(call.tensors) != 2 or not _sums_last_axis(call):
        return False
    weights = call.tensors[0]
    if weights.ndim < 3 or weights.shape[-1] != weights.shape[-2] or weights.shape[-1] < 2:
        return False
    node = node_of(weights)
    if node is None or not node.name().startswith("Softmax"):
        return False
    scores = skip_views(node.next_functions[0][0], lambda name: name.startswith(_AFTER_SCORES))
    while scores is not None and scores.name().startswith(_AFTER_SCORES):  # a bias that is learned, too
        scores = skip_views(scores.next_functions[0][0], lambda name: name.startswith(_AFTER_SCORES))
    return scores is not None and scores.name().startswith(_SCORES) and _joins_two_computed(scores)


def _sums_last_axis(call: FunctionCall) -> bool:
    """Whether the product runs over the last axis of its first factor; for einsum by its letters."""
    if call.name != "einsum":
        return True
    inputs, _, output = str(call.args[0]).replace(" ", "").partition("->")
    first, _, second = inputs.partition(",")
    return bool(first) and first[-1] in second and first[-1] not in output


def _joins_two_computed(node: object) -> bool:
    """Whether both factors of a product were computed from something; a leaf is a parameter."""
    sources = [skip_views(each) for each, _ in getattr(node, "next_functions", ()) if each is not None]
    return len(sources) == 2 and all(
        each is not None and "AccumulateGrad" not in each.name() for each in sources
    )


CHECKS = (Check("attention weights sum to 1 over the positions that they weight", attention_axis),)
