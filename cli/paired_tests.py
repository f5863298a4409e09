"""Is the difference between two networks real? Statistics of paired results, one pair per row of the test set."""

import math

import numpy as np
from scipy import optimize, stats

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
