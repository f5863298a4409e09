"""Confusion, ROC, calibration and importance, against scikit-learn and closed forms."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix

from callbacks.pictures import Calibration, Confusion, Importance, Roc
from callbacks.pictures.calibration import reliability
from callbacks.pictures.importance import REPEATS, accuracy_lost
from callbacks.pictures.network import balanced_accuracy
from tests.callbacks.pictures.plain import data_like, draw, network

RNG = np.random.default_rng(0)
X = torch.as_tensor(RNG.normal(size=(200, 4)))
Y = torch.as_tensor((X[:, 0].numpy() + RNG.normal(size=200) > 0).astype(int))


def table(task="binary", **attributes):
    return data_like(task, [4], **attributes)


def probability(model):
    return model(X)[:, 0].sigmoid().detach().numpy()


def test_the_confusion_matrix_is_scikit_learns():
    model, labels = network(4, 8, 3), torch.as_tensor(RNG.integers(0, 3, 200))
    (axes, _) = draw(Confusion(), model, table("multiclass"), X, labels)["fit/confusion"].axes
    prediction = model(X).argmax(1).numpy()
    expected = confusion_matrix(labels, prediction)
    share = expected / expected.sum(1, keepdims=True)
    np.testing.assert_allclose(axes.images[0].get_array(), share)
    shown = {tuple(map(int, text.get_position()[::-1])): text.get_text() for text in axes.texts}
    assert shown == {
        place: f"{count}\n{share[place]:.0%}" for place, count in np.ndenumerate(expected) if count
    }
    assert axes.get_title() == f"accuracy {(prediction == labels.numpy()).mean():.3f}"
    assert axes.get_ylabel() == "true class"


def test_a_binary_confusion_matrix_has_the_names_of_the_classes():
    data = table(class_names=("died", "survived"))
    (axes, _) = draw(Confusion(), network(4, 1), data, X, Y)["fit/confusion"].axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["died", "survived"]


def test_the_roc_curve_holds_every_threshold_and_its_area_is_the_rank_statistic():
    model = network(4, 3, 1, seed=3)
    score, labels = probability(model), Y.numpy()
    figures = draw(Roc(), model, table(), X, Y)
    (left,), (right,) = figures["fit/roc"].axes, figures["fit/precision_recall"].axes
    drawn = {line.get_label(): line.get_xydata() for line in (*left.lines, *right.lines)}
    (curve,) = [points for label, points in drawn.items() if label.startswith("network, area")]
    every = [[0.0, 0.0]] + [
        [(score[labels == k] >= threshold).mean() for k in (0, 1)] for threshold in sorted(score)[::-1]
    ]
    np.testing.assert_allclose(curve, every)
    rank = mannwhitneyu(score[labels == 1], score[labels == 0]).statistic / (
        labels.sum() * (1 - labels).sum()
    )
    assert f"network, area {rank:.3f}" in drawn
    at_half = [(score[labels == k] > 0.5).mean() for k in (0, 1)]
    np.testing.assert_allclose(left.lines[2].get_xydata(), [at_half])
    chosen = score > 0.5
    expected = [[at_half[1], labels[chosen].mean()]]
    np.testing.assert_allclose(right.lines[2].get_xydata(), expected)
    assert right.lines[0].get_ydata() == [labels.mean()] * 2


def test_calibration_bins_hold_equally_many_samples_with_wilsons_interval():
    score = np.linspace(0.005, 0.995, 80)
    truth = (np.arange(80) % 2 == 0).astype(float)
    bins = reliability(truth[::-1], score[::-1])  # in any order
    assert bins[:, 0] == pytest.approx(score.reshape(8, 10).mean(1))
    assert bins[:, 1] == pytest.approx(0.5)
    # Wilson 1927 for 5 of 10: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), z = 1.959964
    assert bins[0, 2:] == pytest.approx([0.236593, 0.763407], abs=1e-5)


def test_the_calibration_picture_shows_the_bins_and_every_sample():
    model = network(4, 3, 1, seed=3)
    above, below = draw(Calibration(), model, table(), X, Y)["fit/calibration"].axes
    bins = reliability(Y.numpy(), probability(model))
    np.testing.assert_allclose(above.lines[1].get_xydata(), bins[:, :2])
    assert sum(bar.get_height() for bar in below.patches) == 200
    assert above.get_title() == f"Brier score {((probability(model) - Y.numpy()) ** 2).mean():.3f}"


def test_importance_is_that_of_scikit_learn():
    """The same model there and here; permutations differ, so means of many are compared."""
    fitted = LogisticRegression().fit(X.numpy(), Y.numpy())
    model = network(4, 1)
    with torch.no_grad():
        model.net[0].weight.copy_(torch.as_tensor(fitted.coef_))
        model.net[0].bias.copy_(torch.as_tensor(fitted.intercept_))
        ours = accuracy_lost(model, "binary", X, Y, [[0], [1], [2], [3]])
    theirs = permutation_importance(fitted, X.numpy(), Y.numpy(), n_repeats=100, random_state=1)
    error = theirs.importances_std / REPEATS**0.5
    assert (np.abs(ours.mean(1) - theirs.importances_mean) < 4 * error + 1e-9).all()
    assert ours[0].mean() > 0.1 > ours[1:].mean()


def test_importance_is_zero_for_an_unused_input_and_the_same_each_time_whatever_the_seed():
    model = network(4, 1)
    with torch.no_grad():
        model.net[0].weight.copy_(torch.tensor([[5.0, 0.0, 0.0, 1.0]]))
        torch.manual_seed(1)
        first = accuracy_lost(model, "binary", X, Y, [[0], [1, 2], [3]])
        after = torch.rand(1)
        torch.manual_seed(1)
        assert torch.equal(torch.rand(1), after)  # none of the training's random numbers was used
        second = accuracy_lost(model, "binary", X, Y, [[0], [1, 2], [3]])
    np.testing.assert_array_equal(first, second)
    assert (first[1] == 0).all()
    assert (first[0] > 0).all()


def test_columns_of_a_group_are_permuted_together():
    """A network that tells whether two columns agree is right for any passenger, and only for whole passengers."""
    same = X.clone()
    same[:, 1] = same[:, 0]
    always = torch.ones(200, dtype=torch.long)

    class Agree(torch.nn.Module):
        def forward(self, x):
            return 1e-6 - (x[:, :1] - x[:, 1:2]).abs()

    model = network(4, 1)
    model.net = Agree()
    together, apart = accuracy_lost(model, "binary", same, always, [[0, 1], [0]])
    assert (together == 0).all()
    assert apart.mean() > 0.9


def test_the_bars_are_the_mean_losses_in_points_largest_on_top():
    data = table(feature_names=["a", "b", "c", "d"], feature_groups={"a": [0], "bc": [1, 2], "d": [3]})
    model = network(4, 3, 1)
    (axes,) = draw(Importance(), model, data, X, Y)["fit/importance"].axes
    with torch.no_grad():
        lost = accuracy_lost(model, "binary", X, Y, [[0], [1, 2], [3]]).mean(1)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert sorted(names) == ["a", "bc", "d"]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == sorted(widths)
    assert dict(zip(names, widths, strict=True)) == pytest.approx(
        dict(zip(["a", "bc", "d"], 100 * lost, strict=True))
    )


def test_the_balanced_accuracy_counts_if_classes_are_weighed():
    model, rare = network(4, 3, 1), (torch.arange(200) % 10 == 0).long()
    model.save_hyperparameters({"pos_weight": 9.0})
    (axes,) = draw(Importance(), model, table(), X, rare)["fit/importance"].axes
    assert axes.get_xlabel() == "balanced accuracy lost (percentage points)"
    model.net = torch.nn.Sequential(torch.nn.Linear(4, 1).double())
    torch.nn.init.zeros_(model.net[0].weight)
    torch.nn.init.constant_(model.net[0].bias, -1.0)
    assert balanced_accuracy(model, "binary", X, rare) == 0.5  # one class for all; the plain accuracy is 0.9


@pytest.mark.parametrize("kind", [Roc, Calibration, Importance])
def test_two_classes_of_a_table(kind):
    assert not kind().suits(network(4, 1), data_like("binary", [1, 28, 28]))
    assert not kind().suits(network(4, 3), table("multiclass"))
    assert not kind().suits(network(4, 3), None)
