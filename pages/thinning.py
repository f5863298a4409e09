"""Curves of at most about a thousand points, in which every peak is still there."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

MAX_POINTS = 1000


def thin(
    steps: np.ndarray, values: np.ndarray, max_points: int = MAX_POINTS
) -> tuple[np.ndarray, np.ndarray]:
    """Of each bucket of neighboring points, the smallest and the largest; the first and the last point stay.

    Args:
        steps: (N,), rising.
        values: (N,), without NaN.
        max_points: a curve with no more points than this stays as it is.
    """
    if len(values) <= max_points:
        return steps, values
    edges = np.linspace(0, len(values), max_points // 2, dtype=int)
    kept = {0, len(values) - 1}
    for start, end in pairwise(edges):
        bucket = values[start:end]
        kept |= {start + int(bucket.argmin()), start + int(bucket.argmax())}
    places = np.array(sorted(kept))
    return steps[places], values[places]


def buckets(num_rows: int, max_buckets: int) -> np.ndarray:
    """The bucket (N,) of each of so many rows, if there are to be no more than `max_buckets`."""
    return np.arange(num_rows) * min(num_rows, max_buckets) // max(1, num_rows)
