"""Tables and sentences of comparisons, against statistics by SciPy."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from callbacks.dependent_rows import Rows
from cli.row_scores import RowScores, score
from cli.score_tables import compare_scores, say_beyond_accuracy

OUTPUTS = ("price", "energy", "days")


def scores_of(
    prediction: Tensor, truth: Tensor, rows: Rows | None = None, outputs: tuple[str, ...] = ()
) -> RowScores:
    found = score({"prediction": prediction, "truth": truth}, "best.ckpt", len(outputs))
    return RowScores("best.ckpt", truth, **found, rows=rows or Rows(), outputs=outputs)


def test_pixels_are_counted_within_rows() -> None:
    """Two networks that differ in a tenth of the pixels differ by ten percentage points, whatever the image's size."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(3, (20, 10, 10), generator=generator)
    truth[:, :, 0] = -100  # without a label
    good, poor = truth.clamp(min=0), truth.clamp(min=0)
    poor[:, 0] = (poor[:, 0] + 1) % 3  # one of ten lines is wrong
    a, b = (scores_of(each, truth, Rows("image")) for each in (poor, good))
    assert a.shares is not None
    assert a.shares.tolist() == pytest.approx([0.9] * 20)
    table, sentence, _ = compare_scores(a, b)
    assert table["accuracy of B - A"] == "+10.00 percentage points (mean over images)"
    assert "B is 10.00 percentage points more accurate" in sentence
    assert table["compared"] == "the share of correct classes within each image"


def test_the_row_is_the_unit_of_the_test() -> None:
    generator = torch.Generator().manual_seed(1)
    truth = torch.randint(2, (30, 5), generator=generator)
    predictions = [torch.randint(2, (30, 5), generator=generator) for _ in range(2)]
    a, b = (scores_of(each, truth) for each in predictions)
    accuracy = [(each == truth).double().mean(1).numpy() for each in predictions]
    expected = stats.ttest_rel(accuracy[1], accuracy[0])
    table, _, _ = compare_scores(a, b)
    assert table["paired t-test"] == f"p = {expected.pvalue:.2g}"
    difference = 100 * float(np.mean(accuracy[1] - accuracy[0]))
    assert table["accuracy of B - A"].startswith(f"{difference:+.2f}")


def test_rows_without_a_label_are_left_out_with_their_group() -> None:
    truth = torch.tensor([[0, 1]] * 6 + [[-100, -100]] * 2)
    prediction = torch.tensor([[0, 0], [0, 1], [1, 1], [0, 1], [1, 0], [0, 1], [0, 1], [0, 1]])
    groups = torch.tensor([0, 0, 2, 2, 3, 3, 1, 1])
    a = scores_of(torch.zeros_like(prediction), truth, Rows("image", groups=groups))
    b = scores_of(prediction, truth, Rows("image", groups=groups))
    table, _, test = compare_scores(a, b)
    assert "Student over 3 groups of images" in table["95 % confidence interval"]
    assert test.mean == pytest.approx(100 * np.mean([0, 0.5, 0, 0.5, -0.5, 0.5]))


def test_classes_of_grouped_rows_take_no_test_for_independent_ones() -> None:
    """Ten patients with twelve images each, which are all right or all wrong: ten observations, not 120."""
    right = torch.tensor([1, 1, 1, 1, 1, 0, 1, 1, 0, 1]).repeat_interleave(12)
    truth = torch.ones(120, dtype=torch.long)
    groups = torch.arange(10).repeat_interleave(12)
    a = scores_of(
        torch.zeros(120, dtype=torch.long) + (torch.arange(120) < 48), truth, Rows("image", groups=groups)
    )
    b = scores_of(right, truth, Rows("image", groups=groups))
    table, _, test = compare_scores(a, b)
    means = [
        (each.right.double().reshape(10, 12).mean(1)).numpy() for each in (a, b) if each.right is not None
    ]
    expected = stats.ttest_rel(means[1], means[0])
    assert table["t-test over groups"] == f"p = {expected.pvalue:.2g}"
    assert "McNemar's exact test" not in table
    assert table["compared"] == "the class of each image; images of a group are not independent"
    assert compare_scores(scores_of(a.truth * 0, truth), scores_of(right, truth))[2].p_value < test.p_value


def test_windows_in_time_order_are_drawn_in_blocks() -> None:
    random = np.random.default_rng(0)
    slow = np.convolve(random.standard_normal(423), np.ones(24) / 24, "valid")  # windows of 24 steps overlap
    truth = torch.zeros(400)
    rows = Rows("window", in_time_order=True)
    a = scores_of(torch.ones(400), truth, rows)
    b = scores_of(torch.from_numpy(np.sqrt(np.maximum(1 + slow, 0))), truth, rows)
    table, sentence, test = compare_scores(a, b)
    assert "stationary block bootstrap" in table["95 % confidence interval"]
    assert "windows to a block" in table["95 % confidence interval"]
    assert "block bootstrap p = " in sentence
    assert "neighbors in time are not independent" in table["compared"]
    independent = compare_scores(scores_of(torch.ones(400), truth), scores_of(torch.sqrt(b.errors), truth))[2]
    assert test.high - test.low > 2 * (independent.high - independent.low)


def test_outputs_in_other_units_are_tested_by_themselves() -> None:
    """A is better in the output with the largest numbers, B in the others: the sum of errors would see only the first."""
    generator = torch.Generator().manual_seed(2)
    scale = torch.tensor([1000.0, 1.0, 0.01])
    truth = scale * torch.randn(300, 3, generator=generator)
    noise = [scale * torch.randn(300, 3, generator=generator) for _ in range(2)]
    a = scores_of(truth + noise[0] * torch.tensor([0.1, 0.5, 0.5]), truth, outputs=OUTPUTS)
    b = scores_of(truth + noise[1] * torch.tensor([0.2, 0.2, 0.5]), truth, outputs=OUTPUTS)
    table, sentence, _ = compare_scores(a, b)
    assert "The difference is real: B is more exact by an r2 of" in sentence
    assert (
        "A is more exact in price; B is more exact in energy; the difference in 1 of them may be chance"
        in sentence
    )
    assert a.errors is not None
    assert b.errors is not None
    p_values = [stats.ttest_rel(b.errors[:, k], a.errors[:, k]).pvalue for k in range(3)]
    assert table["mse of B - A, days"].endswith(f"p = {p_values[2]:.2g} (Holm)")  # the largest is not raised
    smallest = int(np.argmin(p_values))
    assert table[f"mse of B - A, {OUTPUTS[smallest]}"].endswith(f"p = {3 * p_values[smallest]:.2g} (Holm)")
    r2 = [1 - float((each.errors.mean(0) / truth.var(0, correction=0)).mean()) for each in (a, b)]
    assert float(table["r2 of A"]) == pytest.approx(r2[0], abs=1e-5)
    assert float(table["r2 of B"]) == pytest.approx(r2[1], abs=1e-5)


def with_rare_class(prediction: Tensor, **known: str) -> RowScores:
    truth = (torch.arange(80) % 20 == 0).long()  # 4 of 80
    scores = score({"prediction": prediction, "truth": truth}, "best.ckpt")
    return RowScores("best.ckpt", truth, **scores, class_names=("honest", "fraud"), **known)


def test_a_run_that_is_no_better_than_the_most_frequent_class_is_named() -> None:
    idle, all_fraud = with_rare_class(torch.zeros(80).long()), with_rare_class(torch.ones(80).long())
    perfect = with_rare_class((torch.arange(80) % 20 == 0).long())
    said = say_beyond_accuracy(idle, perfect, {})
    assert (
        "A is no more accurate than to answer always 'honest', which is right in 95.00 % of the rows" in said
    )
    assert say_beyond_accuracy(perfect, perfect, {}) == ""
    assert "A and B are no more accurate" in say_beyond_accuracy(idle, all_fraud, {})


def test_the_difference_in_the_monitored_metric() -> None:
    runs = [with_rare_class((torch.arange(80) % 20 == 0).long(), monitor="val/auroc") for _ in range(2)]
    table = {"auroc of B - A": "+0.1 (95 % +0.05 to +0.15); p = 0.001 (paired bootstrap)"}
    expected = f"In auroc, which chose the checkpoints, B - A is {table['auroc of B - A']}."
    assert say_beyond_accuracy(*runs, table) == expected
    assert say_beyond_accuracy(runs[0], with_rare_class(runs[0].truth), table) == ""
    assert say_beyond_accuracy(*runs, {}) == ""
