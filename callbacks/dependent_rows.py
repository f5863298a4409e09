"""Test rows that are not independent: those of one group, such as a patient's images, and those in the order of time.

Errors of such rows are alike, so that N of them say less than N independent ones. Student's test does not know that, and
takes chance for a difference; an interval from the deviation of single rows is too narrow.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from callbacks.data_spec import spec_of

LONGER = 3  # see `block_length`
FEWEST_BLOCKS = 4
FEWEST_IN_ORDER = 8  # rows in the order of time; fewer do not show how they depend on each other


@dataclasses.dataclass(frozen=True)
class Rows:
    """What the data module says of the rows of a split.

    Args:
        name: what one is called, such as "image".
        in_time_order: whether they follow each other in time.
        groups: (N,) the number of each row's group, from 0; None if each row stands for itself.
    """

    name: str = "row"
    in_time_order: bool = False
    groups: Tensor | None = None

    @property
    def plural(self) -> str:
        return self.name if self.name.endswith("s") else f"{self.name}s"

    @property
    def independent(self) -> bool:
        return self.groups is None and not self.in_time_order

    def kept(self, which: np.ndarray) -> "Rows":
        """Some of the rows; `which` (N,) is true for them."""
        if self.groups is None:
            return self
        left = self.groups[which]
        return dataclasses.replace(self, groups=left.unique(return_inverse=True)[1])


def rows_of(data: Any, split: str) -> Rows:
    """What any data module says of the rows of a split, such as "test"."""
    spec, by_split = spec_of(data), getattr(data, "row_groups", None)
    groups = by_split.get(split) if isinstance(by_split, Mapping) else None
    numbers = None
    if groups is not None:
        numbers = torch.from_numpy(np.unique(np.asarray(groups), return_inverse=True)[1])
    return Rows(spec.sample_name, spec.in_time_order, numbers)


def half_interval(values: np.ndarray, rows: Rows) -> float:
    """Half of the 95 % interval of a mean over rows (N,) that are not independent; NaN for too few of them."""
    if rows.groups is not None:
        if len(rows.groups) != len(values) or int(rows.groups.max()) < 1:
            return math.nan
        error, freedom = group_error(values, rows.groups.numpy())
    elif len(values) < FEWEST_IN_ORDER:
        return math.nan
    else:
        error, freedom, _ = block_error(values)
    return t_quantile(freedom) * error


def t_quantile(degrees: float) -> float:
    """Of Student's distribution: 95 % lie within."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def group_error(differences: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Standard error of a mean over rows (N,) in G groups, and its degrees of freedom, G - 1.

    Rows of different groups are independent; rows of one group may depend on each other in any way (Liang & Zeger 1986,
    https://doi.org/10.1093/biomet/73.1.13; Cameron & Miller 2015, https://doi.org/10.3368/jhr.50.2.317). If each row is a
    group, it is Student's.

    Raises:
        ValueError: for fewer than two groups.
    """
    sums = np.bincount(groups, weights=differences - differences.mean())
    if len(sums) < 2:
        raise ValueError("all test rows are of one group; a comparison takes at least 2")
    return math.sqrt(len(sums) / (len(sums) - 1) * np.square(sums).sum()) / len(differences), len(sums) - 1


def block_error(differences: np.ndarray) -> tuple[float, float, float]:
    """Standard error of a mean over rows (N,) in the order of time, its degrees of freedom, and the length of blocks.

    It is that of the stationary bootstrap: rows are drawn in blocks, whose lengths vary around a mean (Politis & Romano
    1994, https://doi.org/10.1080/01621459.1994.10476870, whose lemma 1 gives the error of a mean without drawing). Two
    things allow for few blocks: a factor, because centered differences are too small, as N - 1 instead of N does for
    independent rows; and degrees of freedom, as if each block were one observation.
    """
    length = block_length(differences)
    num_rows = len(differences)
    covariances = autocovariances(differences)
    weights = block_weights(num_rows, length)
    variance = (covariances[0] + 2 * weights @ covariances[1:]) / num_rows
    lost = (1 + 2 * weights @ (1 - np.arange(1, num_rows) / num_rows)) / num_rows
    return math.sqrt(max(variance, 0.0) / (1 - lost)), num_rows / length - 1, length


def block_weights(num_rows: int, length: float) -> np.ndarray:
    """Weights (N - 1,) of the autocovariances at the lags 1, 2, ...; a block at the end continues at the beginning."""
    lags, stay = np.arange(1, num_rows), 1 - 1 / length
    return (1 - lags / num_rows) * stay**lags + lags / num_rows * stay ** (num_rows - lags)


def block_length(differences: np.ndarray) -> float:
    """Mean length of the blocks, in rows.

    It is three times the length at which the bootstrap's variance is most exact (Politis & White 2004,
    https://doi.org/10.1081/ETC-120028836, with the correction of Patton, Politis & White 2009,
    https://doi.org/10.1080/07474930802459016), but at most a quarter of the rows. An interval takes longer blocks
    than the variance (Sun, Phillips & Jin 2008, https://doi.org/10.1111/j.0012-9682.2008.00822.x). Of 1,200 series in
    which each difference keeps 0.8 of the one before, the 95 % interval held the truth in 89.6, 94.1, 94.4 and 95.3 % for
    60, 200, 500 and 1,500 rows (with twice the length in 85.5, 91.5, 93.1 and 94.9 %), and Student's in 47 to 49 %.
    """
    num_rows = len(differences)
    covariances = autocovariances(differences)
    lags = np.arange(1, num_correlated(covariances) + 1)
    flat_top = np.minimum(1, 2 * (1 - lags / len(lags)))
    spectrum = covariances[0] + 2 * flat_top @ covariances[lags]
    slope = 2 * (flat_top * lags) @ covariances[lags]
    longest = num_rows / FEWEST_BLOCKS
    if spectrum <= 0:
        return max(longest, 1.0)
    return max(1.0, min(LONGER * abs(slope / spectrum) ** (2 / 3) * num_rows ** (1 / 3), longest))


def num_correlated(covariances: np.ndarray) -> int:
    """The number of lags that the rule of Politis & White sums over: twice the last one with a correlation."""
    num_rows = len(covariances)
    in_a_row = max(5, int(math.sqrt(math.log10(num_rows))))
    most = min(math.ceil(math.sqrt(num_rows)) + in_a_row, num_rows - 1)
    limit = 2 * math.sqrt(math.log10(num_rows) / num_rows)
    large = np.abs(covariances[1 : most + 1]) >= limit * covariances[0]
    last = 0
    for lag, is_large in enumerate(large, start=1):
        if is_large:
            last = lag
        elif lag - last >= in_a_row:
            break
    return min(2 * max(last, 1), most)


def autocovariances(values: np.ndarray) -> np.ndarray:
    """At the lags 0 to N - 1, (N,), of values (N,)."""
    num_rows = len(values)
    spectrum = np.abs(np.fft.rfft(values - values.mean(), 2 * num_rows)) ** 2
    return np.fft.irfft(spectrum, 2 * num_rows)[:num_rows] / num_rows


def resampled(
    num_rows: int, groups: np.ndarray | None, length: float | None, random: np.random.Generator
) -> np.ndarray:
    """Row numbers of a bootstrap sample: whole groups, blocks of a mean length, or single rows.

    Args:
        num_rows: N.
        groups: (N,) the group of each row; None if there are none.
        length: mean length of blocks; None unless rows are in the order of time.
        random: draws them.
    """
    if groups is not None:
        members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
        return np.concatenate([members[each] for each in random.integers(len(members), size=len(members))])
    starts = random.integers(num_rows, size=num_rows)
    if length is None:
        return starts
    begins = random.random(num_rows) < 1 / length
    begins[0] = True
    first = np.maximum.accumulate(np.where(begins, np.arange(num_rows), 0))  # of each row's block
    return (starts[first] + np.arange(num_rows) - first) % num_rows
