"""Differences of metrics that are no means over rows, against scikit-learn and a closed form."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAUROC, BinaryConfusionMatrix, BinaryF1Score, MulticlassF1Score

from callbacks.dependent_rows import Rows
from cli.metric_differences import metric_rows
from cli.row_scores import RowScores


def scores_of(scores: torch.Tensor, truth: torch.Tensor, rows: Rows | None = None) -> RowScores:
    metrics = {"f1_score": BinaryF1Score(), "auroc": BinaryAUROC(), "confusion": BinaryConfusionMatrix()}
    inputs = {"scores": scores[:, None], "truth": truth[:, None]}
    return RowScores("best.ckpt", truth, rows=rows or Rows(), metrics=metrics, metric_inputs=inputs)


def made(num_rows: int = 400) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Truth, poor and good scores."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(2, (num_rows,), generator=generator)
    noise = torch.randn(2, num_rows, generator=generator)
    return truth, (truth + 2 * noise[0]).sigmoid(), (truth + 0.5 * noise[1]).sigmoid()


def test_values_are_those_of_scikit_learn() -> None:
    truth, poor, good = made()
    table = metric_rows(scores_of(poor, truth), scores_of(good, truth), None)
    assert float(table["auroc of A"]) == pytest.approx(roc_auc_score(truth, poor), abs=1e-6)
    assert float(table["f1_score of B"]) == pytest.approx(f1_score(truth, good > 0.5), abs=1e-6)
    gain = roc_auc_score(truth, good) - roc_auc_score(truth, poor)
    assert table["auroc of B - A"].startswith(f"{gain:+.4g} (95 % ")
    assert table["auroc of B - A"].endswith("(paired bootstrap)")
    assert not any("confusion" in name for name in table)  # no single number


def test_one_difference_for_each_class() -> None:
    truth, poor, good = made()
    a, b = (
        RowScores(
            "",
            truth,
            metrics={"f1_score": MulticlassF1Score(2, average="none")},
            class_names=["no", "yes"],
            metric_inputs={"scores": (each > 0.5).long()[:, None], "truth": truth[:, None]},
        )
        for each in (poor, good)
    )
    table = metric_rows(a, b, None)
    assert float(table["f1_score/no of A"]) == pytest.approx(f1_score(1 - truth, poor <= 0.5), abs=1e-6)
    assert float(table["f1_score/yes of B"]) == pytest.approx(f1_score(truth, good > 0.5), abs=1e-6)
    assert {name.partition(" ")[0] for name in table} == {"f1_score/no", "f1_score/yes"}


def interval(words: str) -> tuple[float, float]:
    low, high = words.partition("(95 % ")[2].partition(")")[0].split(" to ")
    return float(low), float(high)


def test_the_interval_of_a_mean_is_students() -> None:
    truth, poor, good = made()
    a, b = (
        RowScores(
            "",
            truth,
            metrics={"m": MeanMetric()},
            metric_inputs={"scores": each[:, None], "truth": truth[:, None]},
        )
        for each in (poor, good)
    )
    for each in (a, b):  # MeanMetric takes the truth for weights
        each.metric_inputs["truth"][:] = 1
    low, high = interval(metric_rows(a, b, None)["m of B - A"])
    differences = (good - poor).double().numpy()
    half = 1.96 * differences.std(ddof=1) / np.sqrt(len(differences))
    assert (high - low) / 2 == pytest.approx(half, rel=0.15)  # 200 samples know it within 5 %


def test_rows_of_a_group_are_drawn_together() -> None:
    truth, poor, good = (each.repeat_interleave(8) for each in made(50))
    rows = Rows(groups=torch.arange(50).repeat_interleave(8))
    alone = interval(metric_rows(scores_of(poor, truth), scores_of(good, truth), None)["auroc of B - A"])
    together = interval(
        metric_rows(scores_of(poor, truth, rows), scores_of(good, truth, rows), None)["auroc of B - A"]
    )
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])
