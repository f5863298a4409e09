"""Do predictions and targets pair up, or does broadcasting compare every prediction with every target?"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from callbacks.checkup.batches import size_of
from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError, Traced
from callbacks.checkup.functions import ARITHMETIC, FunctionCall, FunctionRecorder
from callbacks.checkup.subject import Subject, rows_of
from callbacks.diagnostics.verdict import Verdict

KIND = "shapes broadcast in the loss"


def shapes_broadcast(subject: Subject) -> list[Verdict]:
    """(N, 1) against (N,) gives N x N differences: the best the network can learn is then the targets' mean.

    In torch's loss functions by their two shapes; elsewhere by an operation that joins a tensor which needs a
    gradient to one which does not. A batch of another size must show the same, since N may be a width by chance.
    """
    size = size_of(subject.batch)
    if size < 3:
        raise CannotCheckError("a batch has fewer than 3 samples")
    found = _crossed(*subject.functions, size)
    if not found:
        return []
    smaller = rows_of(subject.batch, slice(0, size - 1))
    with FunctionRecorder() as recorder:
        traced = subject.still.trace(smaller)
    if not _crossed(traced, recorder.calls, size - 1):
        return []
    where, prediction, target = found[0]
    return [
        Verdict(
            KIND,
            [],
            f"{where} joins predictions of shape {_text(prediction)} to targets of shape {_text(target)}: broadcasting "
            f"makes {size} x {size} pairs, so each prediction is compared with the targets of all samples, and the best "
            "answer is their mean.",
            "prediction.squeeze(-1), or target.unsqueeze(-1), so that both have the same shape",
            "fail",
        )
    ]


Found = tuple[str, Sequence[int], Sequence[int]]


def _crossed(traced: Traced, calls: list[FunctionCall], size: int) -> list[Found]:
    """The operations that pair every sample with every other: their names and the two shapes."""
    pairs = [(call.name, call.input, call.target) for call in traced.calls if call.input.requires_grad]
    for call in calls:
        if call.name in ARITHMETIC and len(call.tensors) == 2:
            first, second = call.tensors
            if first.requires_grad != second.requires_grad:
                pairs.append(
                    (call.name.strip("_"), *((first, second) if first.requires_grad else (second, first)))
                )
    return [(name, a.shape, b.shape) for name, a, b in pairs if _pairs_all(a, b, size)]


def _pairs_all(first: Tensor, second: Tensor, size: int) -> bool:
    """Whether one is (N, 1) and the other (N,); with axes that were added on purpose both would have two."""
    return {tuple(first.shape), tuple(second.shape)} == {(size, 1), (size,)}


def _text(shape: Sequence[int]) -> str:
    return f"({shape[0]},)" if len(shape) == 1 else str(tuple(shape))


CHECKS = (Check("predictions and targets have the same shape in the loss", shapes_broadcast),)
