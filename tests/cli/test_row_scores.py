"""How well rows are predicted, against counts by hand: one class per row, many classes per row, real numbers."""

from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from cli.compare import compare_scores
from cli.row_scores import Collector, RowScores, score, target_in
from lit_models import LitMLP
from runtime.errors import UsageError


def scores_of(prediction: Tensor, truth: Tensor) -> RowScores:
    right, shares, errors = score({"prediction": prediction, "truth": truth}, "best.ckpt")
    return RowScores("best.ckpt", right, shares, errors, truth, None, None, False)


def test_a_column_of_targets_is_not_spread_over_all_rows() -> None:
    truth = torch.arange(10)
    right, _, _ = score({"prediction": truth, "truth": truth[:, None]}, "best.ckpt")
    assert right is not None
    assert right.tolist() == [True] * 10
    _, _, errors = score({"prediction": truth.float(), "truth": truth[:, None].float()}, "best.ckpt")
    assert errors is not None
    assert errors.tolist() == [0.0] * 10


def test_pixels_are_counted_within_rows() -> None:
    """Two networks that differ in a tenth of the pixels differ by ten percentage points, whatever the image's size."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(3, (20, 10, 10), generator=generator)
    truth[:, :, 0] = -100  # without a label
    good, poor = truth.clamp(min=0), truth.clamp(min=0)
    poor[:, 0] = (poor[:, 0] + 1) % 3  # one of ten lines is wrong
    a, b = scores_of(poor, truth), scores_of(good, truth)
    assert a.shares is not None
    assert a.shares.tolist() == pytest.approx([0.9] * 20)
    rows, sentence = compare_scores(a, b)
    assert rows["accuracy of B - A"].startswith("+10.00 percentage points")
    assert "B is 10.00 percentage points more accurate" in sentence


def test_the_row_is_the_unit_of_the_test() -> None:
    generator = torch.Generator().manual_seed(1)
    truth = torch.randint(2, (30, 5), generator=generator)
    predictions = [torch.randint(2, (30, 5), generator=generator) for _ in range(2)]
    a, b = (scores_of(each, truth) for each in predictions)
    accuracy = [(each == truth).double().mean(1).numpy() for each in predictions]
    expected = stats.ttest_rel(accuracy[1], accuracy[0])
    rows, _ = compare_scores(a, b)
    assert rows["paired t-test"] == f"p = {expected.pvalue:.2g}"
    difference = 100 * float(np.mean(accuracy[1] - accuracy[0]))
    assert rows["accuracy of B - A"].startswith(f"{difference:+.2f}")


@pytest.mark.parametrize("name", ["target", "labels", "y"])
def test_targets_in_dictionaries(name: str) -> None:
    assert target_in({"x": torch.zeros(2), name: torch.ones(2)}).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("batch", [torch.zeros(3), {"image": torch.zeros(3)}, [torch.zeros(3)]])
def test_batches_without_a_target(batch: object) -> None:
    with pytest.raises(UsageError, match=r"compare needs pairs \(inputs, targets\)"):
        target_in(batch)


def test_a_network_that_predicts_words_is_compared_by_its_classes() -> None:
    class Writer(LitMLP):
        def predict_step(self, batch: Any, batch_idx: int) -> dict[str, list[str]]:
            return {"prediction": ["word"] * len(batch[0])}

    model = Writer(in_shape=[3], out_features=4, task="multiclass")
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 3, 0])
    collector = Collector()
    collector.on_predict_batch_end(cast(Any, None), model, model.predict_step((x, y), 0), (x, y))
    assert torch.equal(collector.batches[0]["prediction"], model(x).argmax(1))
    assert torch.equal(collector.batches[0]["truth"], y)
