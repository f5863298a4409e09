"""Are the validation data others than the training data, and the same at each validation?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Subset

from callbacks.checkup.batches import leaves, read, rows_held, same
from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError, DoesNotApplyError
from callbacks.checkup.samples import (
    changes_when_read,
    fingerprints,
    has_class_targets,
    samples_at,
    target_number,
)
from callbacks.checkup.subject import Subject
from callbacks.data_spec import spec_of
from callbacks.diagnostics.verdict import Verdict

_FEWEST_ROWS = 50
_LEAST_SHARE = 0.01  # of the validation rows
_MOST_TWINS = 0.5  # with more twins than this within the training data, a twin in validation says nothing
_COPIED_SHARE = 0.05
_MOST_BATCHES = 50
_OTHER_SHARE = 0.2
_KIND = "validation rows are training rows"
_ADVICE = "one random split, by the samples' origin where several belong together; or in_sample = True in the data module"


def validation_is_held_out(subject: Subject) -> list[Verdict]:
    """Validation rows with the same inputs and targets as a training row are as many as chance gives."""
    trainer = subject.trainer
    if trainer.overfit_batches:
        raise DoesNotApplyError("overfit_batches is for training rows alone")
    validation = subject.validation_loader
    if spec_of(trainer.datamodule).in_sample:
        return [
            Verdict(
                _KIND,
                [],
                "validation figures are in-sample, as the data module says: they tell how well the network fits, not "
                "how well it predicts.",
                "held-out rows before you compare networks by these figures",
                "info",
            )
        ]
    shared = shared_numbers(trainer.train_dataloader, validation)
    if shared is not None and (verdicts := _verdict_on_numbers(*shared)):
        return verdicts
    target = target_number(subject)
    numbers = [subject.input_number] if target is None else [subject.input_number, target]
    data = subject.training_data(), subject.validation_data()
    if len({shape_of_sample(batches, subject.input_number) for batches in data}) > 1:
        raise CannotCheckError("training and validation inputs have different shapes")
    train, held_out = (fingerprints(batches, numbers) for batches in data)
    return _verdict_on_rows(subject, train, held_out)


def shape_of_sample(batches: list[Any], number: int) -> tuple[int, ...]:
    """Of one tensor of the first batch, without its first axis; empty if the batch lacks it."""
    parts = leaves(batches[:1])
    return tuple(parts[number].shape[1:]) if len(parts) > number else ()


def shared_numbers(train: Any, validation: Any) -> tuple[int, int] | None:
    """Shared samples and validation samples, if both loaders take samples by number from one data set."""
    first, second = getattr(train, "dataset", None), getattr(validation, "dataset", None)
    if not isinstance(first, Subset) or not isinstance(second, Subset) or first.dataset is not second.dataset:
        return None
    held_out = set(map(int, second.indices))
    return len(held_out & set(map(int, first.indices))), len(held_out)


def _verdict_on_numbers(shared: int, total: int) -> list[Verdict]:
    if shared < _LEAST_SHARE * total or not shared:
        return []
    return [
        Verdict(
            _KIND,
            [],
            f"{shared:,} of the {total:,} validation samples are also in the training subset of the same data set.",
            _ADVICE,
            "fail",
        )
    ]


def _verdict_on_rows(subject: Subject, train: Counter[int], held_out: Counter[int]) -> list[Verdict]:
    num_train, num_held_out = train.total(), held_out.total()
    what_was_read = f"of {num_held_out:,} validation rows and {num_train:,} training rows read"
    if min(num_train, num_held_out) < _FEWEST_ROWS:
        raise CannotCheckError(f"there are too few rows ({num_held_out} and {num_train})")
    found = sum(count for row, count in held_out.items() if row in train)
    twins = sum(count for count in train.values() if count > 1)
    natural = (twins + 3 * twins**0.5 + 1) / num_train  # at most, as far as chance goes
    if has_rich_rows(subject.inputs):  # only a copy is equal to another one
        natural = min(natural, 0.0 if found > _COPIED_SHARE * num_held_out else 1.0)
    if natural > _MOST_TWINS:
        raise CannotCheckError(f"{twins / num_train:.0%} of the training rows occur there more than once")
    expected = natural * num_held_out
    share_read = share_that_was_read(subject.trainer.train_dataloader, num_train)
    surplus = (found / num_held_out - natural) / share_read
    if surplus >= _LEAST_SHARE and found > expected + 6 * expected**0.5 + 5:
        return [
            Verdict(
                _KIND,
                [],
                f"{what_was_read}, {found:,} validation rows ({found / num_held_out:.1%}) are among the training rows, "
                f"inputs and targets alike; within the training rows only {twins / num_train:.1%} have a twin.",
                _ADVICE,
                "fail",
            )
        ]
    if not found and changes_when_read(subject.trainer.train_dataloader):
        raise CannotCheckError("training rows change from one reading to the next, so none can be recognized")
    if share_read < 1 and _LEAST_SHARE * num_held_out * share_read < 10:
        raise CannotCheckError(f"{what_was_read}, too few to see 1 % that both have; {found} are alike")
    return []


def has_rich_rows(inputs: torch.Tensor) -> bool:
    """Whether a sample has so many different numbers that two equal ones are copies: 32 numbers, 8 different ones.

    Not so of tokens: two sentences can be equal.
    """
    if inputs[0].numel() < 32 or not inputs.is_floating_point():
        return False
    rows = inputs[:16].flatten(1)
    return min(len(row.unique()) for row in rows) >= 8


def share_that_was_read(loader: Any, num_rows: int) -> float:
    """Of the training data; 1 if the loader does not say how many rows it has."""
    held = rows_held(loader)
    return min(1.0, num_rows / held) if held else 1.0


def validation_stays_the_same(subject: Subject) -> list[Verdict]:
    """Two readings of the validation data give the same rows."""
    loader = subject.validation_loader
    once, again = read_twice(loader)
    changed = [k for k, (a, b) in enumerate(zip(leaves(once), leaves(again), strict=False)) if not same(a, b)]
    if not changed:
        return _on_other_samples(subject, loader)
    inputs = leaves(once)[subject.input_number] if len(leaves(once)) > subject.input_number else None
    target = target_number(subject)
    only_inputs = changed == [subject.input_number] and target is not None and target not in changed
    table_or_image = inputs is not None and inputs.is_floating_point() and inputs.ndim in (2, 4)
    harms = only_inputs and table_or_image and has_class_targets(subject)
    what = "inputs" if subject.input_number in changed else "other parts"
    return [
        Verdict(
            "validation data change",
            [],
            f"the {what} of the same validation samples differ from one reading to the next"
            + (", while their classes stay: augmentation or noise." if harms else "."),
            "the training transform for training only; where the task itself is random, a seed for each sample",
            "warn" if harms else "info",
        )
    ]


def _on_other_samples(subject: Subject, loader: Any) -> list[Verdict]:
    """Two complete readings have other samples: a random part of the data is drawn each time."""
    started = time.perf_counter()
    readings = [list(read(loader, _MOST_BATCHES + 1, subject.seconds / 4)) for _ in range(2)]
    complete = time.perf_counter() - started < subject.seconds / 4
    if not complete or max(len(each) for each in readings) > _MOST_BATCHES:
        return []
    once, again = (fingerprints(each, [subject.input_number]) for each in readings)
    missing = (once - again).total()
    if missing < _OTHER_SHARE * once.total():  # a last batch that is left out may have other rows
        return []
    return [
        Verdict(
            "validation data change",
            [],
            f"{missing:,} of {once.total():,} validation samples are others in the next reading.",
            "a validation set that is drawn once",
            "warn" if has_class_targets(subject) else "info",
        )
    ]


def read_twice(loader: Any) -> tuple[Any, Any]:
    """The same samples, read twice.

    Raises:
        CannotCheckError: if the loader may have shuffled in between.
    """
    once, again = samples_at(loader, 4), samples_at(loader, 4)
    if once is not None:
        return once, again
    batches: Sequence[Any] = [list(read(loader, 1)) for _ in range(2)]
    if not batches[0] or not batches[1]:
        raise DoesNotApplyError("there is no validation data")
    once, again = batches[0][0], batches[1][0]
    if not same(once, again) and not _some_part_stays(once, again):
        raise CannotCheckError("the validation loader shuffles, or everything changes")
    return once, again


def _some_part_stays(once: Any, again: Any) -> bool:
    """Whether some part with at least 8 different values is the same in both: then the samples are the same."""
    pairs = zip(leaves(once), leaves(again), strict=False)
    return any(len(torch.unique(a)) >= 8 and same(a, b) for a, b in pairs)


CHECKS = (
    Check("validation rows are no training rows", validation_is_held_out),
    Check("validation data are the same at each validation", validation_stays_the_same),
)
