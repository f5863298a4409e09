"""Metrics that were asked for by name, such as F1 and AUROC: how much they differ, and whether that may be chance.

Such a metric is no mean over rows, so it is computed on bootstrap samples of the test rows, on the same ones for both
networks (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 6).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from callbacks.dependent_rows import resampled
from cli.paired_tests import t_test
from cli.row_scores import RowScores
from cli.score_tables import p_text
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
    for name in [name for name in a.metrics if name in b.metrics]:
        metric = a.metrics[name].cpu()
        random = np.random.default_rng(0)
        samples = (resampled(num_rows, groups, length, random) for _ in range(SAMPLES))
        values = [values_on(places, metric, a, b) for places in (np.arange(num_rows), *samples)]
        if values[0] is None:
            continue
        of_a, of_b = values[0]
        gains = [each[1] - each[0] for each in values[1:] if each is not None]
        p_value, low, high = t_test(of_b - of_a, float(np.nanstd(gains, ddof=1)), max(num_units - 1, 1))
        table |= {f"{name} of A": number(of_a), f"{name} of B": number(of_b)}
        table[f"{name} of B - A"] = (
            f"{of_b - of_a:+.4g} (95 % {low:+.4g} to {high:+.4g}); {p_text(p_value)} (paired bootstrap)"
        )
    return table


def values_on(places: np.ndarray, metric: Any, a: RowScores, b: RowScores) -> tuple[float, float] | None:
    """A metric of both networks on some rows; None if it is no single number."""
    values = [value_of(metric, each.metric_inputs, torch.from_numpy(places)) for each in (a, b)]
    return (float(values[0]), float(values[1])) if all(each.numel() == 1 for each in values) else None


def value_of(metric: Any, inputs: Mapping[str, Tensor], places: Tensor) -> Tensor:
    """A metric on some rows."""
    metric.reset()
    metric.update(*(inputs[part][places].flatten(0, 1) for part in ("scores", "truth")))
    value = metric.compute()
    metric.reset()
    return torch.as_tensor(value) if isinstance(value, Tensor | float) else torch.empty(0)
