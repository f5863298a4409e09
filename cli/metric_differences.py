"""Metrics that were asked for by name, such as F1 and AUROC: how much they differ, and whether that may be chance.

Such a metric is no mean over rows, so it is computed on bootstrap samples of the test rows, on the same ones for both
networks (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 6).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from callbacks.dependent_rows import resampled
from cli.paired_tests import t_test
from cli.row_scores import RowScores
from cli.score_tables import p_text
from lit_models.metrics import measured
from runtime.tables import number

SAMPLES = 200  # as many as a standard error takes (section 6.4 of the book)
Table = dict[str, str]


def metric_rows(a: RowScores, b: RowScores, length: float | None) -> Table:
    """Three rows of the table for each metric that both runs have.

    Args:
        a, b: on the same rows.
        length: mean length of blocks, if rows are in the order of time.
    """
    num_rows = len(a.truth)
    groups = None if a.rows.groups is None else a.rows.groups.numpy()
    num_units = num_rows / (length or 1) if groups is None else int(groups.max()) + 1
    table: Table = {}
    for metric_name in [name for name in a.metrics if name in b.metrics]:
        metric = {metric_name: a.metrics[metric_name].cpu()}
        random = np.random.default_rng(0)
        samples = (resampled(num_rows, groups, length, random) for _ in range(SAMPLES))
        values = [values_on(places, metric, a, b) for places in (np.arange(num_rows), *samples)]
        for name, (of_a, of_b) in values[0].items():  # several if there is one for each class
            gains = [each[name][1] - each[name][0] for each in values[1:]]
            p_value, low, high = t_test(of_b - of_a, float(np.nanstd(gains, ddof=1)), max(num_units - 1, 1))
            table |= {f"{name} of A": number(of_a), f"{name} of B": number(of_b)}
            table[f"{name} of B - A"] = (
                f"{of_b - of_a:+.4g} (95 % {low:+.4g} to {high:+.4g}); {p_text(p_value)} (paired bootstrap)"
            )
    return table


def values_on(
    places: np.ndarray, metric: Mapping[str, Any], a: RowScores, b: RowScores
) -> dict[str, tuple[float, float]]:
    """A metric of both networks on some rows, by its name; one for each class if it has them."""
    of_a, of_b = (
        values_of(metric, each.metric_inputs, torch.from_numpy(places), a.class_names) for each in (a, b)
    )
    return {name: (of_a[name], of_b[name]) for name in of_a if name in of_b}


def values_of(
    metric: Mapping[str, Any], inputs: Mapping[str, Tensor], places: Tensor, class_names: Sequence[str]
) -> dict[str, float]:
    """A metric on some rows; nothing if it is no number, and not one for each class."""
    for each in metric.values():
        each.reset()
        each.update(*(inputs[part][places].flatten(0, 1) for part in ("scores", "truth")))
    try:
        values = measured(metric, class_names)
    except ValueError:  # a matrix
        values = {}
    for each in metric.values():
        each.reset()
    return {name: float(value) for name, value in values.items()}
