"""Are inputs and targets of a size that a network with the usual initialization can work with?

Inputs are measured where they enter the first layer with weights, so whatever the module does to them before counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from callbacks.checkup.batches import leaves, size_of
from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError, DoesNotApplyError
from callbacks.checkup.samples import has_supervised_loss, target_number
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.probe import clean_path, forward_hooks, tensors_in
from callbacks.diagnostics.verdict import Severity, Verdict

_LARGE_RMS, _LARGE_RMS_OF_TABLE = 50.0, 200.0
_IMAGE_SIZE = 64  # numbers per sample, from which on a sample of bytes is an image
_SMALL, _SMALL_LENGTH = 0.02, 0.3  # of the largest number, and of a sample's Euclidean length
_FAR_APART, _LARGE_DEVIATION = 1000.0, 1000.0
_LARGE_TARGET, _LARGER_THAN_OUTPUT = 100.0, 30.0
_REGRESSION = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
_NORMALIZE = "(x - mean) / std with mean and std of the training data"


@dataclass
class Entry:
    """Where the inputs enter.

    Args:
        name: of the first layer with weights that gets numbers from the data.
        layer: it.
        inputs: what it gets, (N, ...).
        normalized_next: whether a normalization layer follows it at once.
        depth: how many layers with weights were called.
    """

    name: str
    layer: nn.Module
    inputs: Tensor
    normalized_next: bool
    depth: int

    @property
    def harm(self) -> Severity:
        """How bad a wrong scale is here: a normalization layer, frozen weights or a linear model can live with it."""
        frozen = not any(each.requires_grad for each in self.layer.parameters(recurse=False))
        return "info" if self.normalized_next or frozen or self.depth < 2 else "warn"

    @property
    def by_feature(self) -> Tensor:
        """(F, S): for each feature or channel all its values."""
        images = type(self.layer).__name__.startswith(("Conv", "LazyConv"))
        axis = 1 if images and self.inputs.ndim > 2 else self.inputs.ndim - 1
        return self.inputs.movedim(axis, 0).flatten(1)


def entry_of(subject: Subject) -> Entry:
    """The first layer with weights, in a step on the first batch.

    Raises:
        CannotCheckError: if no layer gets numbers from the data; tokens enter through an embedding.
    """
    module = subject.still.module
    names = {each: clean_path(name) for name, each in module.named_modules() if name}
    called: list[tuple[nn.Module, Tensor]] = []

    def note(layer: nn.Module, inputs: Any, output: Any) -> None:
        called.extend((layer, each) for each in list(tensors_in(inputs))[:1])

    with forward_hooks([each for each in names if has_weights(each) or is_norm(each)], note):
        subject.still.trace(subject.batch)
    depth = sum(has_weights(layer) for layer, _ in called)
    for place, (layer, inputs) in enumerate(called):
        if has_weights(layer) and not inputs.requires_grad and inputs.ndim > 1:
            following = called[place + 1][0] if place + 1 < len(called) else layer
            return Entry(names[layer], layer, inputs.detach().float(), is_norm(following), depth)
    raise CannotCheckError("no layer gets numbers from the data")


def has_weights(module: nn.Module) -> bool:
    """Whether it multiplies its input with a matrix or a kernel of its own."""
    own = [each for each in module.parameters(recurse=False) if each.ndim > 1]
    return bool(own) and not isinstance(module, nn.Embedding | nn.EmbeddingBag) and not is_norm(module)


def is_norm(module: nn.Module) -> bool:
    """Whether it is a normalization layer, by its name."""
    return "Norm" in type(module).__name__


def inputs_are_normalized(subject: Subject) -> list[Verdict]:
    """The numbers that enter the first layer are neither very large nor very small, nor of very different scales."""
    entry = entry_of(subject)
    if not bool(entry.inputs.isfinite().all()) or not bool(entry.inputs.any()):
        raise CannotCheckError("the inputs are not finite, or all are 0")
    return features_far_apart(entry) or too_large(entry) or too_small(entry)


def too_large(entry: Entry) -> list[Verdict]:
    """Root mean square above 50 (tables: 200), or bytes of images."""
    x = entry.inputs
    rms = float(x.square().mean().sqrt())
    a_table = x.ndim == 2 and x.shape[1] < _IMAGE_SIZE
    if not (are_bytes(x) and rms > 10) and rms <= _LARGE_RMS:
        return []
    what = "bytes 0..255" if are_bytes(x) else f"of a root mean square of {rms:.3g}"
    advice = "x / 255, or " + _NORMALIZE if are_bytes(x) else _NORMALIZE
    severity = "info" if a_table and rms < _LARGE_RMS_OF_TABLE else entry.harm
    return [
        Verdict(
            "inputs not normalized",
            [entry.name],
            f"{entry.name} gets inputs {what}, from {float(x.min()):.3g} to {float(x.max()):.3g}; the usual "
            "initialization is made for a root mean square near 1.",
            advice,
            severity,
        )
    ]


def are_bytes(x: Tensor) -> bool:
    """Whether each sample is an image of whole numbers up to 255."""
    in_range = x[0].numel() >= _IMAGE_SIZE and float(x.min()) >= 0 and 100 < float(x.max()) <= 255
    return in_range and bool((x == x.round()).all())


def too_small(entry: Entry) -> list[Verdict]:
    """No number above 0.02, in samples that are also short vectors and no distributions."""
    x = entry.inputs
    largest = float(x.abs().max())
    samples = x.flatten(1)
    lengths, sums = samples.norm(dim=1), samples.sum(1)
    if largest >= _SMALL or float(lengths.max()) >= _SMALL_LENGTH or bool(((sums - 1).abs() < 0.1).all()):
        return []
    twice = x.double() * 255 * 255
    divided_twice = bool(((twice - twice.round()).abs() < 0.01).all())
    return [
        Verdict(
            "inputs too small",
            [entry.name],
            f"{entry.name} gets inputs of at most {largest:.2g}"
            + (", whole numbers divided by 255 twice." if divided_twice else "."),
            "to divide by 255 only once" if divided_twice else _NORMALIZE,
            entry.harm if divided_twice or x.ndim > 3 else "info",
        )
    ]


def features_far_apart(entry: Entry) -> list[Verdict]:
    """The deviation of one feature is 1000 times the median of the others, or above 1000 while theirs is not."""
    deviations = entry.by_feature.std(1, correction=0)
    varied = deviations[deviations > 0]
    if len(varied) < 2 or len(entry.inputs) < 8:
        return []
    largest = float(varied.max())
    others = varied.sort().values[:-1]
    typical = float(others.median())
    far = largest > 10 and largest > _FAR_APART * typical
    if not far and not (largest > _LARGE_DEVIATION and typical < _LARGE_DEVIATION / 10):
        return []
    return [
        Verdict(
            "features of very different scale",
            [entry.name],
            f"feature {int(deviations.argmax())} of the inputs of {entry.name} has a deviation of {largest:.3g}, the "
            f"others {typical:.3g} (median): it decides the output alone.",
            _NORMALIZE + ", for each feature",
            "info" if entry.depth < 2 else "warn",
        )
    ]


def inputs_vary(subject: Subject) -> list[Verdict]:
    """Samples differ in some part of the batch other than the target."""
    target = target_number(subject)
    rows = sum(size_of(batch) for batch in subject.batches)
    if rows < 16:
        raise CannotCheckError(f"there are only {rows} samples")
    parts = [
        k for k, each in enumerate(leaves(subject.batch)) if each.ndim and len(each) == size_of(subject.batch)
    ]
    if subject.input_number == target or any(not _is_constant(subject, k) for k in parts if k != target):
        return []
    harms = target is not None and not _is_constant(subject, target) and has_supervised_loss(subject)
    return [
        Verdict(
            "constant inputs",
            [],
            f"all {rows} samples of the first {len(subject.batches)} batches have the same inputs"
            + (", but different targets." if harms else "."),
            "to print a batch: the data set or a transform returns the same for each sample",
            "warn" if harms else "info",
        )
    ]


def _is_constant(subject: Subject, number: int) -> bool:
    first = leaves(subject.batch)[number][:1]
    parts = [leaves(batch)[number] for batch in subject.batches]
    return all(each.shape[1:] == first.shape[1:] and bool((each == first).all()) for each in parts)


def targets_are_near_outputs(subject: Subject) -> list[Verdict]:
    """Targets of a regression are not a hundred times larger than what the network gives at the start."""
    calls = [call for call in subject.traced.calls if call.name in _REGRESSION and call.input.requires_grad]
    if not calls:
        raise DoesNotApplyError("no loss function of torch compares numbers")
    target, output = calls[0].target.detach().float(), calls[0].input.detach().float()
    mean, deviation = float(target.mean()), float(target.std(correction=0))
    rms, of_output = float(target.square().mean().sqrt()), float(output.square().mean().sqrt())
    if max(abs(mean), deviation) <= _LARGE_TARGET or rms <= _LARGER_THAN_OUTPUT * of_output:
        return []
    linear = sum(has_weights(each) for each in subject.module.modules()) < 2
    return [
        Verdict(
            "targets of another scale",
            [],
            f"targets are {mean:.3g} +- {deviation:.3g}, outputs {of_output:.3g} (root mean square) at the start: the "
            "first steps only move the output's bias, and gradients are as large as the error.",
            "(y - mean) / std with mean and std of the training targets; or the mean as the last layer's bias",
            "info" if linear else "warn",
        )
    ]


CHECKS = (
    Check("inputs of the first layer have a usual size", inputs_are_normalized),
    Check("inputs differ from sample to sample", inputs_vary),
    Check("targets are of the size of the outputs", targets_are_near_outputs),
)
