"""Long curves are thinned, and keep their peaks."""

import numpy as np
import pytest

from pages.thinning import MAX_POINTS, buckets, thin


@pytest.mark.parametrize("length", [1, 2, 999, 1000, 1001, 5_000, 100_000])
def test_ends_peaks_and_order_stay(length: int) -> None:
    generator = np.random.default_rng(length)
    steps, values = np.arange(length) * 50.0, generator.normal(size=length)
    values[length // 3], values[length // 2] = 1e3, -1e3
    kept, seen = thin(steps, values)
    assert len(kept) == len(seen) <= MAX_POINTS + 2
    assert (np.diff(kept) > 0).all()
    assert (kept[0], kept[-1]) == (steps[0], steps[-1])
    assert (seen.min(), seen.max()) == (values.min(), values.max())
    np.testing.assert_array_equal(seen, values[np.searchsorted(steps, kept)])


def test_a_short_curve_stays_as_it_is() -> None:
    steps, values = np.arange(MAX_POINTS), np.random.default_rng(0).normal(size=MAX_POINTS)
    assert thin(steps, values)[1] is values


@pytest.mark.parametrize(("rows", "most"), [(1, 5), (5, 5), (7, 5), (1000, 160)])
def test_buckets_are_even_and_no_more_than_asked_for(rows: int, most: int) -> None:
    found = buckets(rows, most)
    sizes = np.bincount(found)
    assert len(sizes) == min(rows, most)
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(found) >= 0).all()
