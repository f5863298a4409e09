"""Which finding explains which: causes are reported before their symptoms, and the worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from callbacks.diagnostics.verdict import SEVERITIES, Verdict

# What keeps a network from learning, whatever else is in order; the first that was found is named as the cause.
WRONG_LOSS = (
    "loss is maximized",
    "softmax over the batch",
    "shapes broadcast in the loss",
    "softmax before cross-entropy",
    "sigmoid before BCE with logits",
    "logits into NLL loss",
    "probabilities into KL divergence",
    "nonlinearity on the logits",
    "output cannot reach the targets",
)
WRONG_WIRING = (
    "parameters missing from the optimizer",
    "layers not registered",
    "optimizer holds other tensors",
    "cut off from the loss",
    "learning rate is 0",
    "weights that do not move",
    "only normalization layers train",
    "gradients are not cleared",
    "identical units",
)
WRONG_DATA = (
    "values not finite",
    "inputs not normalized",
    "features of very different scale",
    "inputs too small",
    "targets of another scale",
    "constant inputs",
    "same batch every step",
    "samples influence each other",
    "inputs that cannot matter",
)
WRONG_START = ("signal grows from layer to layer", "initial loss too high", "no nonlinearity")
WRONG_STEPS = (
    "learning rate far too high",
    "learning rate far too low",
    "weight decay stronger than the gradient",
    "schedule ends too early",
    "learning rate is gone",
)
WRONG_GRADIENTS = (
    "exploding gradient",
    "vanishing gradient and signal",
    "vanishing gradient through time",
    "vanishing gradient",
    "gradient below float32",
    "no gradient",
    "saturation",
    "dead units",
)
NOTHING_LEARNED = (
    *WRONG_LOSS,
    *WRONG_WIRING,
    *WRONG_DATA,
    *WRONG_START,
    *WRONG_STEPS,
    *WRONG_GRADIENTS,
    "dropout too strong",
    "layers in eval mode",
)
SCALES = (
    "inputs not normalized",
    "features of very different scale",
    "targets of another scale",
    *WRONG_START[:2],
)

# By symptom: what explains it, the most likely first. No kind explains itself, through however many others.
CAUSES: dict[str, tuple[str, ...]] = {
    "dead units": (*SCALES, "nonlinearity on the logits", "exploding gradient", "learning rate far too high"),
    "saturation": (*SCALES, *WRONG_LOSS, "learning rate far too high"),
    "vanishing gradient": (*WRONG_LOSS, "inputs too small", "learning rate far too high"),
    "vanishing gradient and signal": ("inputs too small",),
    "exploding gradient": (
        *SCALES,
        "values not finite",
        "gradients are not cleared",
        "learning rate far too high",
    ),
    "gradient below float32": (
        "vanishing gradient and signal",
        "vanishing gradient through time",
        "vanishing gradient",
    ),
    "no gradient": (
        "cut off from the loss",
        "unused layers",
        "nonlinearity on the logits",
        "dead units",
    ),
    "learning rate far too high": (*SCALES, "gradients are not cleared", "loss is maximized"),
    "learning rate far too low": ("schedule ends too early", "learning rate is 0", "learning rate is gone"),
    "initial loss too high": (*SCALES[:3], "signal grows from layer to layer"),
    "signal grows from layer to layer": SCALES[:2],
    "always clipped": (
        *SCALES,
        "exploding gradient",
        "gradients are not cleared",
        "learning rate far too high",
    ),
    "learning rate is gone": (
        "schedule ends too early",
        "schedule counted in the wrong unit",
        "schedule stepped twice",
    ),
    "oscillates": (*SCALES, "gradients are not cleared", "learning rate far too high"),
    "no better than a constant answer": (*NOTHING_LEARNED, "memorized", "not converged", "overfits"),
    "one class predicted": (*NOTHING_LEARNED, "no better than a constant answer"),
    "never better than at the start": (*NOTHING_LEARNED, "no better than a constant answer"),
    "not converged": (
        "learning rate far too low",
        "learning rate is gone",
        "schedule ends too early",
        "vanishing gradient",
        *WRONG_LOSS[:6],
        *SCALES[:2],
    ),
    "settled": NOTHING_LEARNED,
    "memorized": ("validation data prepared differently", "layers in eval mode", "labels do not begin at 0"),
    "overfits": ("validation data prepared differently", "memorized"),
    "converged": ("learning rate is gone", "schedule ends too early"),
}


def explain(verdicts: list[Verdict]) -> list[Verdict]:
    """The same verdicts, each with its cause if that was found, too; causes first, each followed by its symptoms."""
    found = {verdict.kind: verdict for verdict in verdicts}
    explained = {kind: replace(each, because=_cause(kind, found)) for kind, each in found.items()}
    roots = sorted((each for each in explained.values() if not each.because), key=_rank)
    return [verdict for root in roots for verdict in _family(root.kind, explained)]


def depth(verdict: Verdict, verdicts: list[Verdict]) -> int:
    """The number of causes above a verdict."""
    above = {each.kind: each for each in verdicts}
    steps = 0
    while verdict.because in above:
        verdict, steps = above[verdict.because], steps + 1
    return steps


def _cause(kind: str, found: dict[str, Verdict]) -> str:
    """The first of its causes that was found; something harmless explains nothing that does harm."""
    for cause in CAUSES.get(kind, ()):
        if cause in found and _rank(found[cause]) <= _rank(found[kind]):
            return cause
    return ""


def _family(kind: str, explained: dict[str, Verdict]) -> Iterator[Verdict]:
    yield explained[kind]
    symptoms = [each for each in explained.values() if each.because == kind]
    for symptom in sorted(symptoms, key=_rank):
        yield from _family(symptom.kind, explained)


def _rank(verdict: Verdict) -> int:
    return SEVERITIES.index(verdict.severity)
