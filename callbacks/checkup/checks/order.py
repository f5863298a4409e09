"""Do batches come in an order that helps to learn, and does each worker draw random numbers of its own?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler

from callbacks.checkup.batches import leaves, read, rows_held, same, size_of
from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError, DoesNotApplyError
from callbacks.checkup.samples import rows_in, samples_at, target_number
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.verdict import Verdict

_FEWEST_SAMPLES, _MOST_SAMPLES = 64, 256
_SORTED_Z = -6.0  # deviations below the number of runs that a random order has
_SORTED_CORRELATION = 0.99  # of ranks
_MOST_CLASSES = 1000
_SHUFFLE = "shuffle=True in the training loader"


def check_that_order_matters(subject: Subject) -> None:
    """
    Raises:
        CannotCheckError: if every step sees all data, or the same few batches on purpose.
    """
    if subject.trainer.overfit_batches:
        raise DoesNotApplyError("overfit_batches repeats a few batches on purpose")
    batches = subject.trainer.num_training_batches
    if batches == 1 or is_full_batch(subject):
        raise DoesNotApplyError("each batch has all samples")
    if subject.trainer.accumulate_grad_batches >= batches:
        raise DoesNotApplyError("each step uses all batches")


def is_full_batch(subject: Subject) -> bool:
    """Whether the first batch has every sample that the loader holds."""
    held = rows_held(subject.trainer.train_dataloader)
    return held is not None and size_of(subject.batch) >= held


def batches_differ(subject: Subject) -> list[Verdict]:
    """Batches of one epoch are not all the same."""
    check_that_order_matters(subject)
    batches = list(read(subject.trainer.train_dataloader, 4, subject.seconds))
    if len(batches) < 2 or not all(same(batches[0], each) for each in batches[1:]):
        return []
    held = rows_held(subject.trainer.train_dataloader)
    some = samples_at(subject.trainer.train_dataloader, 8)
    others = some is not None and any(not _all_rows_equal(leaf) for leaf in leaves(some))
    message = f"the first {len(batches)} batches are the same, {size_of(batches[0])} samples each"
    message += f", and the data set has {held:,}." if held else "."
    return [
        Verdict(
            "same batch every step",
            [],
            message,
            "a loader that goes on to the next samples; or --trainer.overfit_batches 1 if one batch is what you want",
            "warn" if others else "info",
        )
    ]


def _all_rows_equal(leaf: Tensor) -> bool:
    return leaf.ndim == 0 or bool((leaf == leaf[:1]).all())


def is_not_sorted(subject: Subject) -> list[Verdict]:
    """The training loader does not give the samples class by class, or by the size of their target."""
    check_that_order_matters(subject)
    if isinstance(sampler_of(subject.trainer.train_dataloader), RandomSampler):
        return []
    targets, whole_set = _targets_in_order(subject)
    if len(targets) < _FEWEST_SAMPLES:
        raise CannotCheckError(f"there are too few samples ({len(targets)})")
    if len(targets.unique()) < 2:
        raise CannotCheckError("the samples that were read have the same target")
    where = f"{len(targets)} samples " + ("spread over the data set" if whole_set else "from as many batches")
    if targets.is_floating_point() and len(targets.unique()) > 20:
        correlation = rank_correlation(targets)
        found = certain = abs(correlation) > _SORTED_CORRELATION
        message = f"targets of {where} are in the order of their size (rank correlation {correlation:.3f})."
    else:
        score, runs, expected = runs_score(targets)
        found, certain = score < _SORTED_Z, runs < 1.5 * len(targets.unique())
        message = (
            f"{where} come in {runs} runs of one class; a random order has {expected:.0f}, "
            f"which is {-score:.0f} deviations more."
        )
    return [Verdict("sorted data", [], message, _SHUFFLE, "warn" if certain else "info")] if found else []


def _targets_in_order(subject: Subject) -> tuple[Tensor, bool]:
    """One target for each of some samples in the order of training; whether they are spread over the whole data set.

    Within a batch a sampler may group samples of one class, as losses on pairs need it, so only one sample of each
    batch is used, unless the loader follows the order of its data set.

    Raises:
        CannotCheckError: if there is no target with one number for each sample.
    """
    number = target_number(subject)
    if number is None or number == subject.input_number:
        raise CannotCheckError("no part of the batch is a target")
    loader = subject.trainer.train_dataloader
    if follows_data_set(loader) and (spread := samples_at(loader, _MOST_SAMPLES)) is not None:
        return _single(leaves(spread)[number]), True
    data = subject.training_data()
    return _single(torch.cat([rows_in([batch], number)[:1] for batch in data])), False


def _single(targets: Tensor) -> Tensor:
    if targets.numel() != len(targets):
        raise CannotCheckError("a sample has more than one target")
    return targets.detach().cpu().flatten()


def follows_data_set(loader: Any) -> bool:
    """Whether it is a DataLoader without shuffling or a sampler of its own."""
    return isinstance(loader, DataLoader) and isinstance(sampler_of(loader), SequentialSampler)


def sampler_of(loader: Any) -> Any:
    """What chooses the order of single samples; None if nothing does."""
    return getattr(getattr(loader, "batch_sampler", None), "sampler", None)


def runs_score(labels: Tensor) -> tuple[float, int, float]:
    """Runs of equal labels: deviations from the expected number in a random order, their number, that expectation.

    Wald and Wolfowitz 1940 for several classes: mean n - sum of f (f - 1) / n, with f samples of a class.
    """
    n = len(labels)
    frequency = labels.unique(return_counts=True)[1].double()
    runs = int((labels[1:] != labels[:-1]).sum()) + 1
    squares, cubes = float((frequency**2).sum()), float((frequency**3).sum())
    expected = n + 1 - squares / n
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n**2 * (n - 1))
    return (runs - expected) / max(variance, 1e-12) ** 0.5, runs, expected


def rank_correlation(values: Tensor) -> float:
    """Spearman's, of the values with their place."""
    ranks = values.argsort(stable=True).argsort().double()
    places = torch.arange(len(values)).double()
    return float(torch.corrcoef(torch.stack([ranks, places]))[0, 1])


def order_changes(subject: Subject) -> list[Verdict]:
    """The second epoch has another order than the first."""
    check_that_order_matters(subject)
    if subject.trainer.max_epochs == 1:
        raise DoesNotApplyError("there is only one epoch")
    loader = subject.trainer.train_dataloader
    first = list(read(loader, 2, subject.seconds))
    with second_epoch(subject.trainer, loader):
        second = list(read(loader, 2, subject.seconds))
    if len(first) > 1 and same(first[0], first[1]):  # another check reports that
        return []
    target = target_number(subject)
    augmented = follows_data_set(loader) and target is not None and _same_part(first, second, target)
    if not (augmented or same(first, second)) or is_series(leaves(first[0])[subject.input_number]):
        return []
    return [
        Verdict(
            "same order every epoch",
            [],
            "the first two batches of the second epoch are those of the first, in the same order.",
            _SHUFFLE,
            "info",
        )
    ]


def _same_part(first: list[Any], second: list[Any], number: int) -> bool:
    return all(same(leaves(a)[number], leaves(b)[number]) for a, b in zip(first, second, strict=True))


@contextlib.contextmanager
def second_epoch(trainer: Any, loader: Any) -> Iterator[None]:
    """Let the loader read as in the second epoch: some are told which one it is, others ask the Trainer."""
    for each in (getattr(loader, "sampler", None), sampler_of(loader)):
        if (choose := getattr(each, "set_epoch", None)) is not None:
            choose(1)
    progress = trainer.fit_loop.epoch_progress.current
    progress.completed += 1
    try:
        yield
    finally:
        progress.completed -= 1


def is_series(rows: Tensor) -> bool:
    """Whether consecutive samples are closer to each other than any two: then the order may have a meaning."""
    if len(rows) < 8 or not rows.is_floating_point():
        return False
    flat = rows.flatten(1) if rows.ndim > 1 else rows[:, None]
    neighbors = (flat[1:] - flat[:-1]).square().mean()
    return bool(neighbors < 0.5 * 2 * flat.var(0, correction=0).mean())


CHECKS = (
    Check("batches differ", batches_differ),
    Check("training data are not sorted", is_not_sorted),
    Check("each epoch has an order of its own", order_changes),
)
