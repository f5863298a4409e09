"""Is the difference between two networks real? Statistics of paired results, one pair per row of the test set."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, stats

from callbacks.dependent_rows import FEWEST_IN_ORDER, Rows, block_error, group_error

CONFIDENCE = 0.95


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided p-value of McNemar's exact test (McNemar 1947, https://doi.org/10.1007/BF02295996).

    If both networks were equally accurate, each row that only one of them gets right would be A's with probability
    1/2: a binomial test. Rows on which they agree say nothing about which one is better.

    Args:
        only_a: rows that only A gets right.
        only_b: rows that only B gets right.
    """
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)


def tango_interval(only_a: int, only_b: int, num_rows: int) -> tuple[float, float]:
    """Score interval for accuracy(B) - accuracy(A), from the same rows, after Tango 1998.

    It contains all differences that a score test does not reject; at a difference of 0 that test is McNemar's
    (https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B). The usual interval, estimate
    +- 1.96 standard errors, fails if errors are few, and has no width if no row separates A and B. This one works in
    both cases.
    """
    z = stats.norm.ppf((1 + CONFIDENCE) / 2)
    estimate = (only_b - only_a) / num_rows

    def excess(difference: float) -> float:
        """Square of the score statistic's numerator, minus z^2 times its variance: negative inside the interval."""
        # Most likely probability that only A is right, if P(only B) - P(only A) is `difference`: a root of
        # 2 n p^2 - s p - only_a * difference * (1 - difference).
        s = only_a + only_b - (2 * num_rows - only_b + only_a) * difference
        root = math.sqrt(max(s**2 + 8 * num_rows * only_a * difference * (1 - difference), 0.0))
        variance = 2 * (s + root) / (4 * num_rows) + difference * (1 - difference)
        return num_rows * (estimate - difference) ** 2 - z**2 * variance

    def limit(end: float) -> float:
        start = estimate + math.copysign(1e-9, end)  # exactly at the estimate the excess may be 0
        return float(optimize.brentq(excess, start, end)) if abs(start) < 1 else end

    return limit(-1.0), limit(1.0)


@dataclasses.dataclass(frozen=True)
class MeanTest:
    """Whether a mean of paired differences is 0.

    Args:
        mean: of the differences B - A.
        p_value: two-sided, of a mean of 0.
        low, high: 95 % interval of the mean.
        name: of the test.
        how: how the interval was found.
        length: mean length of the blocks, if rows are in the order of time; else None.
    """

    mean: float
    p_value: float
    low: float
    high: float
    name: str
    how: str
    length: float | None = None


def mean_test(differences: np.ndarray, rows: Rows) -> MeanTest:
    """Test the mean of `differences` (N,), as the dependence between rows demands.

    Raises:
        ValueError: for fewer than two rows or groups, or fewer than eight rows in the order of time.
    """
    mean, count = float(differences.mean()), len(differences)
    if rows.groups is not None:
        groups = rows.groups.numpy()
        error, freedom = group_error(differences, groups)
        how = f"Student over {int(groups.max()) + 1} groups of {rows.plural}"
        return MeanTest(mean, *t_test(mean, error, freedom), "t-test over groups", how)
    if rows.in_time_order:
        if count < FEWEST_IN_ORDER:
            raise ValueError(
                f"{count} {rows.plural} in the test set, in the order of time; a comparison takes at least "
                f"{FEWEST_IN_ORDER}"
            )
        error, freedom, length = block_error(differences)
        how = f"stationary block bootstrap, about {length:.0f} {rows.plural} to a block"
        return MeanTest(mean, *t_test(mean, error, freedom), "block bootstrap", how, length)
    p_value, (low, high) = paired_t(differences)
    return MeanTest(mean, p_value, low, high, "paired t-test", f"Student, paired {rows.plural}")


def t_test(mean: float, error: float, freedom: float) -> tuple[float, float, float]:
    """p-value and interval of a mean with this standard error, from Student's distribution."""
    if error == 0:
        return float(mean == 0), mean, mean
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return float(2 * stats.t.sf(abs(mean) / error, freedom)), mean - half, mean + half


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several tests, raised so that one is wrongly below 5 % in only 5 % of all cases.

    Holm 1979, https://www.jstor.org/stable/4615733.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    raised, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        raised[place] = largest
    return raised


def paired_t(differences: np.ndarray) -> tuple[float, tuple[float, float]]:
    """p-value and interval of the mean of `differences` (N,), from Student's t-test of paired values.

    Raises:
        ValueError: for fewer than two rows.
    """
    if len(differences) < 2:
        raise ValueError(f"{len(differences)} row in the test set; a comparison takes at least 2")
    if not differences.any():
        return 1.0, (0.0, 0.0)
    result = stats.ttest_1samp(differences, 0.0)
    low, high = result.confidence_interval(CONFIDENCE)
    return float(result.pvalue), (float(low), float(high))
