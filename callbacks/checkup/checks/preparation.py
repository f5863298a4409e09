"""Are validation inputs prepared as training inputs are?

Classes, subjects and years differ in a few features or in their level. A missing or doubled normalization changes the
spread of nearly every feature at once, or leaves whole numbers where training has fractions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError, DoesNotApplyError
from callbacks.checkup.samples import rows_in, target_number
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.verdict import Verdict

_FEWEST_ROWS = 100
_MOST_ROWS, _MOST_FEATURES = 1000, 128  # that are compared
_CHANCE = 1e-4  # of one finding in all features, if the rows come from one distribution
_INNER_DEVIATION = 0.662  # of a normal distribution of deviation 1 without its outer tenths
_NOTABLE_SHIFT, _NOTABLE_RATIO = 0.5, 1.5
_WRONG_RATIO, _WRONG_SHARE = 2.0, 0.8  # spreads that differ by this factor in this share of the features


def prepared_alike(subject: Subject) -> list[Verdict]:
    """Mean and spread of the input's features are alike in training and validation."""
    number = subject.input_number
    train, validation = (
        rows_in(data, number, _MOST_ROWS) for data in (subject.training_data(), subject.validation_data())
    )
    codes = not train.is_floating_point() and not (train.dtype == torch.uint8 and train.ndim > 2)
    if codes and not validation.is_floating_point():
        raise DoesNotApplyError("the inputs are whole numbers, such as tokens")
    train, validation = (by_feature(rows) for rows in (train, validation))
    if train.shape[1] != validation.shape[1]:
        raise CannotCheckError("training and validation inputs have different shapes")
    if min(len(train), len(validation)) < _FEWEST_ROWS:
        raise CannotCheckError(f"there are too few rows ({len(train)} and {len(validation)})")
    return _verdict(train, validation, target_number(subject) in (None, number), subject.inputs.ndim >= 4)


def by_feature(rows: Tensor) -> Tensor:
    """(N, F, S) in float32: F features or channels, S values of each in one sample; at most 1000 rows, 128 features."""
    rows = _some(rows, 0, _MOST_ROWS).float()
    if rows.ndim == 1:
        return rows[:, None, None]
    if rows.ndim == 2:
        return _some(rows, 1, _MOST_FEATURES)[:, :, None]
    axis = 1 if rows.ndim > 3 or rows.shape[1] < rows.shape[2] else 2  # the channels of images are first
    return _some(rows.movedim(axis, 1).flatten(2), 1, _MOST_FEATURES)


def _some(values: Tensor, axis: int, most: int) -> Tensor:
    size = values.shape[axis]
    return values if size <= most else values.index_select(axis, torch.linspace(0, size - 1, most).long())


def _verdict(train: Tensor, validation: Tensor, unsupervised: bool, images: bool) -> list[Verdict]:
    center, spread = _center_and_spread(train)
    other_center, other_spread = _center_and_spread(validation)
    varied = (spread > 0) & (other_spread > 0)
    if not varied.any():
        raise CannotCheckError("no feature of the inputs varies")
    real = varied & beyond_chance(train, validation)
    shift = (other_center - center).abs() / spread
    ratio = torch.maximum(other_spread / spread, spread / other_spread)
    notable = real & ((shift > _NOTABLE_SHIFT) | (ratio > _NOTABLE_RATIO))
    wrong = real & (ratio > _WRONG_RATIO)
    many = images or int(varied.sum()) >= 3
    rescaled = many and int(wrong.sum()) >= _WRONG_SHARE * int(varied.sum())
    units = _is_whole(train) != _is_whole(validation) and bool(wrong.any())
    if not notable.any():
        return []
    worst = int((torch.where(notable, torch.maximum(ratio.log(), shift), -1.0)).argmax())
    message = (
        f"{int(notable.sum())} of {int(varied.sum())} {'channels' if images else 'features'} have another mean or spread"
        f" in validation; number {worst}: {center[worst]:.3g} +- {spread[worst]:.3g} in training, "
        f"{other_center[worst]:.3g} +- {other_spread[worst]:.3g} in validation"
    )
    severe = (rescaled or units) and not unsupervised
    return [
        Verdict(
            "validation data prepared differently",
            [],
            message + ("." if severe else "; data of another origin or time look so, too."),
            "the same normalization for both, fitted on the training data alone",
            "warn" if severe else "info",
        )
    ]


def _center_and_spread(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each feature: (F,), leaving out the outer tenth on each side where the rest still varies."""
    flat = values.movedim(1, 0).flatten(1)
    flat = _some(flat, 1, 20_000).double()
    low, high = (flat.quantile(share, dim=1, keepdim=True) for share in (0.1, 0.9))
    inner = (flat >= low) & (flat <= high)
    count = inner.sum(1)
    center = (flat * inner).sum(1) / count
    spread = (((flat - center[:, None]) ** 2 * inner).sum(1) / count).sqrt() / _INNER_DEVIATION
    all_spread = flat.std(1, correction=0)
    robust = spread > 0.01 * all_spread
    return torch.where(robust, center, flat.mean(1)), torch.where(robust, spread, all_spread)


def beyond_chance(first: Tensor, second: Tensor) -> Tensor:
    """Whether two samples (N, F, S), (M, F, S) of each feature differ by a Kolmogorov-Smirnov test: (F,).

    Where a sample has several values of a feature, their mean and their deviation are compared.
    """
    single = first.shape[2] == 1
    statistics = [lambda values: values.mean(2)]
    statistics += [] if single else [lambda values: values.std(2, correction=0)]
    num_tests = first.shape[1] * len(statistics)
    n, m = len(first), len(second)
    critical = math.sqrt(-0.5 * math.log(_CHANCE / num_tests / 2) * (n + m) / (n * m))
    distances = [_ks_distance(of(first).T, of(second).T) for of in statistics]
    return torch.stack(distances).amax(0) > critical


def _ks_distance(first: Tensor, second: Tensor) -> Tensor:
    """Largest distance of the distribution functions of (F, N) and (F, M): (F,)."""
    first, second = first.contiguous().sort().values, second.contiguous().sort().values
    both = torch.cat([first, second], 1)
    shares = [torch.searchsorted(each, both, right=True).double() / each.shape[1] for each in (first, second)]
    return (shares[0] - shares[1]).abs().amax(1)


def _is_whole(values: Tensor) -> bool:
    return bool((values == values.round()).all()) and float(values.abs().max()) > 1


CHECKS = (Check("validation inputs are prepared as training inputs are", prepared_alike),)
