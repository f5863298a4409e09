"""Means of dependent rows: against Student, bootstrap samples, and how often their intervals hold the truth."""

import numpy as np
import pytest
import torch
from scipy import signal

from callbacks.dependent_rows import (
    Rows,
    autocovariances,
    block_error,
    block_length,
    block_weights,
    group_error,
    resampled,
)
from cli.paired_tests import holm, mean_test, paired_t


def autoregressive(num_rows: int, memory: float, random: np.random.Generator) -> np.ndarray:
    """Values (N,) around 0, each of which keeps the share `memory` of the one before."""
    noise = random.standard_normal(num_rows + 200)
    return np.asarray(signal.lfilter([1.0], [1.0, -memory], noise))[200:]


def test_groups_of_one_row_are_students_test() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 20)
    test = mean_test(values, Rows(groups=torch.arange(20)))
    p_value, interval = paired_t(values)
    assert (test.p_value, (test.low, test.high)) == (pytest.approx(p_value), pytest.approx(interval))


def test_groups_of_one_size_are_students_test_of_their_means() -> None:
    random = np.random.default_rng(1)
    values = random.normal(0.2, 1, (12, 5)) + random.normal(0, 2, (12, 1))
    test = mean_test(values.flatten(), Rows("image", groups=torch.arange(12).repeat_interleave(5)))
    p_value, interval = paired_t(values.mean(1))
    assert (test.p_value, (test.low, test.high)) == (pytest.approx(p_value), pytest.approx(interval))
    assert test.how == "Student over 12 groups of images"
    assert paired_t(values.flatten())[0] < test.p_value


def test_one_group_says_nothing() -> None:
    with pytest.raises(ValueError, match="all test rows are of one group"):
        group_error(np.arange(5.0), np.zeros(5, dtype=int))


def test_autocovariances_by_their_definition() -> None:
    values = np.random.default_rng(2).normal(size=9)
    centered = values - values.mean()
    expected = [centered[: 9 - lag] @ centered[lag:] / 9 for lag in range(9)]
    assert autocovariances(values) == pytest.approx(expected)


def test_the_error_of_blocks_is_that_of_bootstrap_samples() -> None:
    """Lemma 1 of Politis & Romano, without the factor for few blocks."""
    random = np.random.default_rng(3)
    values = autoregressive(150, 0.6, random)
    error, _, length = block_error(values)
    means = [values[resampled(150, None, length, random)].mean() for _ in range(4000)]
    weights = block_weights(150, length)
    lost = (1 + 2 * weights @ (1 - np.arange(1, 150) / 150)) / 150
    assert np.std(means) == pytest.approx(error * np.sqrt(1 - lost), rel=0.05)


@pytest.mark.parametrize(("memory", "student", "least"), [(0.0, 0.95, 0.93), (0.8, 0.5, 0.92)])
def test_how_often_the_interval_holds_the_truth(memory: float, student: float, least: float) -> None:
    """In 400 series of 300 rows; Student's interval holds it in half of the cases if rows are alike."""
    random = np.random.default_rng(4)
    series = [autoregressive(300, memory, random) for _ in range(400)]
    held = [
        (each.low < 0 < each.high) for each in (mean_test(one, Rows(in_time_order=True)) for one in series)
    ]
    naive = [low < 0 < high for _, (low, high) in map(paired_t, series)]
    assert np.mean(naive) == pytest.approx(student, abs=0.06)
    assert least < np.mean(held) < 0.98


def test_blocks_are_as_long_as_rows_are_alike() -> None:
    random = np.random.default_rng(5)
    white = np.median([block_length(random.standard_normal(500)) for _ in range(20)])
    alike = np.median([block_length(autoregressive(500, 0.8, random)) for _ in range(20)])
    assert white < 10 < 30 < alike <= 125
    assert block_length(np.tile([1.0, -1.0], 20)) >= 1


def test_bootstrap_samples_keep_groups_and_blocks_whole() -> None:
    random = np.random.default_rng(6)
    groups = np.array([0, 1, 1, 2, 0, 2, 2])
    drawn = resampled(7, groups, None, random)
    counts = np.bincount(drawn, minlength=7)
    assert all(len(set(counts[groups == each])) == 1 for each in range(3))
    rows = resampled(1000, None, 20.0, random)
    steps = np.diff(rows) % 1000
    assert 1 - np.mean(steps == 1) == pytest.approx(1 / 20, abs=0.02)
    assert len(set(resampled(1000, None, None, random).tolist())) == pytest.approx(632, abs=40)


def test_too_few_rows_in_time_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"7 windows in the test set, in the order of time; .* at least 8"):
        mean_test(np.arange(7.0), Rows("window", in_time_order=True))


def test_no_difference_at_all() -> None:
    for rows in (Rows(in_time_order=True), Rows(groups=torch.arange(10) % 3)):
        test = mean_test(np.zeros(10), rows)
        assert (test.mean, test.p_value, test.low, test.high) == (0, 1, 0, 0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
