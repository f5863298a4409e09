"""Do the samples of a batch leave each other alone?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from callbacks.checkup.batches import leaves, size_of
from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError
from callbacks.checkup.functions import SOFTMAX, VIEWS, FunctionCall, FunctionRecorder
from callbacks.checkup.subject import Subject, as_double, rows_of
from callbacks.diagnostics.probe import clean_path, forward_hooks, tensors_in
from callbacks.diagnostics.verdict import Verdict

KIND = "samples influence each other"
_FEW = 7  # samples suffice, and cost less than a batch; an odd number is rarely a width
_ROUNDING = 1e-9  # relative, in float64
_SEQUENCES = (nn.RNNBase, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


def samples_are_independent(subject: Subject) -> list[Verdict]:
    """Exchange one sample of a batch in eval mode: the predictions for the others must stay as they are."""
    size = number_of_samples(subject)
    few = rows_of(subject.batch, slice(0, _FEW)) if size > 2 * _FEW else subject.batch
    size = size_of(few)
    _refuse_graphs(subject, few, size)
    before = _run(subject, few)
    if _compares_samples(subject, few, before.prediction):
        raise CannotCheckError("the predictions compare the samples of the batch with each other")
    one = size // 2
    after = _run(subject, _exchanged(few, size, one))
    moved = _moved_rows(before.prediction, after.prediction, size, one)
    if not moved[one]:
        raise CannotCheckError("the predictions do not depend on the input")
    others = int(moved.sum()) - 1
    if not others:
        return []
    if _moved_rows(before.prediction, _run(subject, few).prediction, size, one).any():
        raise CannotCheckError("two equal steps give different predictions")
    return [_verdict(before, after, few, one, others)]


def number_of_samples(subject: Subject) -> int:
    """Samples in the first batch.

    Raises:
        CannotCheckError: if they may lie along another axis than the first, or are fewer than 3.
    """
    size, loader = size_of(subject.batch), subject.trainer.train_dataloader
    wanted = getattr(loader, "batch_size", None) or getattr(loader, "global_batch_size", None)
    known = getattr(loader, "dataset", None) or getattr(loader, "tensors", [()])[0]
    held = len(known) if hasattr(known, "__len__") else None
    if wanted is None or size not in (wanted, held):
        raise CannotCheckError("it is not clear which axis of a batch counts its samples")
    certain = not isinstance(loader, DataLoader) or loader.collate_fn is default_collate
    if not certain and any(size in each.shape[1:] for each in leaves(subject.batch)):
        raise CannotCheckError("several axes of a batch are as long as the batch")
    if size < 3:
        raise CannotCheckError("a batch has fewer than 3 samples")
    return size


def _refuse_graphs(subject: Subject, batch: Any, size: int) -> None:
    """In a graph or a set, samples influence each other on purpose."""
    own = [value for module in subject.exact.module.modules() for value in vars(module).values()]
    own += [*subject.exact.module.buffers(), *leaves(batch)]
    full = size_of(subject.batch)
    for each in own:
        if not isinstance(each, Tensor):
            continue
        if each.layout != torch.strided or _are_edges(each) or _is_adjacency(each, {size, full}):
            raise CannotCheckError("the samples of a batch are the nodes of a graph")


def _are_edges(tensor: Tensor) -> bool:
    """Pairs of numbers of nodes: (2, E)."""
    return tensor.ndim == 2 and len(tensor) == 2 and not tensor.is_floating_point() and tensor.shape[1] > 2


def _is_adjacency(tensor: Tensor, sizes: set[int]) -> bool:
    """A matrix of all pairs of samples, (N, N) or (..., N, N).

    A batch of N images of N x N pixels is none, nor is a triangle, with which a transformer hides later positions.
    """
    if tensor.ndim < 2 or tensor.shape[-2] != tensor.shape[-1] or tensor.shape[-1] not in sizes:
        return False
    is_per_sample = tensor.ndim > 2 and len(tensor) in sizes
    nodes = tensor.shape[-1]
    rows, columns = torch.triu_indices(nodes, nodes, 1)
    above = tensor.reshape(-1, nodes, nodes)[0][rows, columns]
    is_triangle = bool((above == above[:1]).all())
    return not is_per_sample and not is_triangle


def _exchanged(batch: Any, size: int, one: int) -> Any:
    """The batch with a copy of another sample in place of sample number `one`."""
    index = torch.arange(size)
    rows = [each for each in leaves(batch) if each.ndim and len(each) == size]
    different = [k for k in range(size) if any(bool((each[k] != each[one]).any()) for each in rows[:1])]
    if not different:
        raise CannotCheckError("all samples of the batch are equal")
    index[one] = different[0]
    return rows_of(batch, index)


@dataclass
class Run:
    """One step in eval mode: the prediction, and what each call of a module and function got and gave."""

    prediction: Tensor
    modules: list[tuple[str, nn.Module, Tensor, Tensor]]
    functions: list[FunctionCall]


def _run(subject: Subject, batch: Any) -> Run:
    copy = subject.exact
    names = {module: clean_path(path) for path, module in copy.module.named_modules()}
    calls: list[tuple[str, nn.Module, Tensor, Tensor]] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        given, made = next(tensors_in(inputs), None), next(tensors_in(output), None)
        if made is not None:
            calls.append((names[module] or "root", module, made[:0] if given is None else given, made))

    with torch.no_grad(), forward_hooks(names, note), FunctionRecorder() as recorder:
        prediction = copy.trace(as_double(batch)).prediction
    if not bool(prediction.isfinite().all()):
        raise CannotCheckError("the predictions are not finite")
    return Run(prediction, calls, recorder.calls)


def _compares_samples(subject: Subject, batch: Any, prediction: Tensor) -> bool:
    """Whether predictions are one for each pair of samples: their second axis is as long as the first in any batch.

    In one batch alone it may be the classes that are as many as the samples.
    """
    if prediction.ndim < 2 or len(prediction) != prediction.shape[1]:
        return False
    fewer = _run(subject, rows_of(batch, slice(0, size_of(batch) - 1))).prediction
    return fewer.ndim > 1 and len(fewer) == fewer.shape[1]


def _moved_rows(before: Tensor, after: Tensor, size: int, one: int) -> Tensor:
    """Which samples' predictions moved: (N,), of the layout that has the fewest.

    Predictions are (N, ...), or have been flattened from (N, T, ...) or (T, N, ...).

    Raises:
        CannotCheckError: if they are not one or several for each sample.
    """
    if before.ndim == 0 or len(before) % size or before.shape != after.shape or not len(before):
        raise CannotCheckError("the predictions are not one for each sample")
    moved = ((after - before).abs() > _ROUNDING * before.abs().max()).reshape(len(before), -1).any(1)
    layouts = [moved.reshape(size, -1).any(1), moved.reshape(-1, size).any(0)]
    return min(layouts, key=lambda rows: (int(rows.sum()), not bool(rows[one])))


def _verdict(before: Run, after: Run, batch: Any, one: int, others: int) -> Verdict:
    size = size_of(batch)
    where, module = _first_mixing(before, after, size, one, others)
    text = (
        f"if one sample of a batch is exchanged, the predictions for {others} of the {size - 1} others change"
    )
    text += f", first in {where}"
    layers = [] if module is None else [where]
    if isinstance(module, nn.Module) and _is_time_first(module, before):
        return Verdict(
            KIND,
            layers,
            f"{text}: it takes the first axis, which counts the samples, for time.",
            f"batch_first=True in {type(module).__name__}",
            "fail",
        )
    softmax = [call for call in before.functions if call.name in SOFTMAX and _over_samples(call, size)]
    if softmax:
        return Verdict(
            "softmax over the batch",
            layers,
            f"{text}: a softmax of shape {tuple(softmax[0].output.shape)} runs over axis 0, the samples.",
            "dim=1 or dim=-1 in this softmax",
            "fail",
        )
    view = next(
        (call for call in before.functions if call.name in VIEWS and _moves_samples(call, size)), None
    )
    if view is not None:
        shapes = f"{tuple(view.tensors[0].shape)} into {tuple(view.output.shape)}"
        return Verdict(
            KIND,
            layers,
            f"{text}: {view.name} makes {shapes}, which keeps the order of the numbers and so mixes samples.",
            f"permute or transpose instead of {view.name}",
            "fail",
        )
    return Verdict(
        KIND,
        layers,
        f"{text}.",
        "eval mode on one sample at a time, and a look at operations along axis 0, if this is not meant",
        "info",
    )


def _first_mixing(before: Run, after: Run, size: int, one: int, others: int) -> tuple[str, nn.Module | None]:
    """The first module that gets each sample by itself and returns them mixed; else ("training_step", None).

    Raises:
        CannotCheckError: if the step pairs them before the network (mixup), or by statistics of the batch.
    """
    for (name, module, given, made), (*_, other_given, other_made) in zip(
        before.modules, after.modules, strict=False
    ):
        if _is_mixed(given, other_given, size, one) is False and _is_mixed(made, other_made, size, one):
            if isinstance(module, nn.modules.batchnorm._NormBase):
                raise CannotCheckError(f"{name} uses the statistics of the batch in eval mode, too")
            return name, module
    if others <= 2:
        raise CannotCheckError("the step mixes pairs of samples before the network gets them, as mixup does")
    return "training_step", None


def _is_mixed(before: Tensor, after: Tensor, size: int, one: int) -> bool | None:
    """Whether other rows than number `one` differ; None if its first axis does not count samples."""
    if before.ndim < 2 or len(before) != size or before.shape != after.shape:
        return None
    moved = ((after - before).abs() > _ROUNDING * before.abs().max()).reshape(size, -1).any(1)
    moved[one] = False
    return bool(moved.any())


def _is_time_first(module: nn.Module, run: Run) -> bool:
    """Whether it is a sequence layer that takes axis 0 for time, and gets a longer axis 1."""
    given = next(given for _, each, given, _ in run.modules if each is module)
    if not isinstance(module, _SEQUENCES) or given.ndim != 3 or given.shape[1] < 2:
        return False
    owner = getattr(module, "self_attn", module)
    return not owner.batch_first


def _over_samples(call: FunctionCall, size: int) -> bool:
    axis = call.argument(1, "dim")
    shape = call.output.shape
    if not isinstance(axis, int) or len(shape) < 2:
        return False
    return axis % len(shape) == 0 and shape[0] == size and shape[1] != size


def _moves_samples(call: FunctionCall, size: int) -> bool:
    """Whether it moves the axis of the samples without moving the numbers, such as (N, T, ...) to (T, N, ...)."""
    before, after = _place_of_samples(call.tensors[0], size), _place_of_samples(call.output, size)
    return before is not None and after is not None and before != after


def _place_of_samples(tensor: Tensor, size: int) -> int | None:
    """How many groups of samples stand before the axis that counts them; None if it is not clear which one does."""
    axes = [axis for axis, length in enumerate(tensor.shape) if length == size]
    return tensor.shape[: axes[0]].numel() if len(axes) == 1 else None


CHECKS = (Check("samples of a batch do not influence each other", samples_are_independent),)
