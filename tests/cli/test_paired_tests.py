"""The statistics of a comparison, against published tables and closed forms."""

from math import comb

import numpy as np
import pytest

from cli.paired_tests import mcnemar_exact, paired_t, tango_interval

# Complete response before and after consolidation therapy (Cavo et al. 2012), in Fagerland, Lydersen and Laake,
# Statistical Analysis of Contingency Tables (2017), chapter 8: 59, 6, 16 and 80 of 161 patients.
CAVO = (16, 6, 161)


def test_published_interval_and_test() -> None:
    """Figures of the book's R package `contingencytables`; the two may disagree, as the exact test is cautious."""
    assert tango_interval(*CAVO) == pytest.approx((-0.1240, -0.0054), abs=5e-5)
    assert mcnemar_exact(*CAVO[:2]) == pytest.approx(0.052479, abs=5e-7)


@pytest.mark.parametrize(("only_a", "only_b"), [(1, 7), (7, 1), (0, 5), (12, 12), (33, 161)])
def test_mcnemar_is_twice_the_tail_of_fair_coins(only_a: int, only_b: int) -> None:
    total = only_a + only_b
    tail = sum(comb(total, k) for k in range(min(only_a, only_b) + 1)) / 2**total
    assert mcnemar_exact(only_a, only_b) == pytest.approx(min(1.0, 2 * tail))


@pytest.mark.parametrize("counts", [(16, 6, 161), (86, 150, 1600), (1, 7, 21), (33, 161, 10_000), (5, 5, 50)])
def test_interval_agrees_with_the_closed_form(counts: tuple[int, int, int]) -> None:
    """Its limits are roots of a quartic: Yang, Sun and Hardin 2013, https://doi.org/10.1002/sim.5561."""
    c, b, n = counts
    g = 1.959963984540054**2
    quartic = [
        n**2 * (n / g + 1) ** 2,
        -n * (b - c) * (n / g + 1) * (4 * n / g + 1),
        2 * n * (b - c) ** 2 * (3 * n / g + 2) / g - n**2 * ((b + c) / g + 1),
        n * (b - c) * (2 * (b + c) / g + 1) - (b - c) ** 3 * (4 * n / g + 1) / g,
        (b - c) ** 2 * ((b - c) ** 2 / g - (b + c)) / g,
    ]
    roots = np.roots(quartic)
    assert tango_interval(*counts) == pytest.approx((roots.real.min(), roots.real.max()), abs=1e-6)


def test_interval_is_wide_where_no_row_tells_the_two_apart() -> None:
    """Then its limits are z^2 / (n + z^2), those of Wilson's interval of 0 among n."""
    g = 1.959963984540054**2
    assert tango_interval(0, 0, 100) == pytest.approx((-g / (100 + g), g / (100 + g)))
    assert mcnemar_exact(0, 0) == 1.0


def test_interval_of_the_extremes_stays_within_one() -> None:
    low, high = tango_interval(0, 100, 100)
    assert (0.9 < low < 1, high) == (True, 1.0)
    assert tango_interval(100, 0, 100) == pytest.approx((-high, -low))


def test_paired_t_on_students_data() -> None:
    """The hours of sleep gained with two drugs (Student 1908, https://doi.org/10.1093/biomet/6.1.1); R's sleep data:
    t = -4.0621, df = 9, p = 0.002833, interval -2.4598858 to -0.7001142."""
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    p_value, interval = paired_t(first - second)
    assert p_value == pytest.approx(0.002833, abs=5e-7)
    assert interval == pytest.approx((-2.4598858, -0.7001142), abs=1e-7)


def test_paired_t_of_no_difference_and_of_one_row() -> None:
    assert paired_t(np.zeros(5)) == (1.0, (0.0, 0.0))
    with pytest.raises(ValueError, match="1 row in the test set"):
        paired_t(np.ones(1))
