"""The series are cut in time, and scaled so that a prediction can be fed back."""

import numpy as np
import pytest
import torch

from datamodules import SeriesDataModule
from datamodules.series import make_trends
from lit_models.rnn import repeat_last_difference


def ready(**options):
    data = SeriesDataModule(**options)
    data.setup("fit")
    return data


def test_batches_have_the_announced_shapes():
    data = SeriesDataModule(num_series=7, length=50, known_fraction=0.7, batch_size=None)
    assert (data.task, list(data.in_shape), data.in_features, data.out_features) == (
        "regression",
        [35, 1],
        1,
        1,
    )
    data.setup("fit")
    x, y = next(iter(data.train_dataloader()))
    assert x.shape == y.shape == (7, 34, 1)
    for loader in (data.val_dataloader(), data.test_dataloader()):
        known, future = next(iter(loader))
        assert known.shape == (7, 35, 1)
        assert future.shape == (7, 15, 1)
    known, steps = next(iter(data.predict_dataloader()))
    assert known.shape == (7, 35, 1)
    assert steps.tolist() == [list(range(35, 50))] * 7
    assert {x.dtype, y.dtype, known.dtype, future.dtype} == {torch.float32}


def test_the_target_is_the_next_value_and_the_future_follows_the_known_part():
    data = ready(num_series=5, batch_size=None)
    x, y = next(iter(data.train_dataloader()))
    assert torch.equal(x[:, 1:], y[:, :-1])  # in the same units
    known, future = next(iter(data.val_dataloader()))
    series = torch.cat([known, future], dim=1).double() * data.target_std + data.target_mean
    torch.testing.assert_close(series, make_trends("both", 5, 100, 0.3, seed=0), atol=1e-4, rtol=0)


def test_one_unit_is_the_typical_difference_of_the_training_part():
    data = ready(batch_size=None)
    x, y = next(iter(data.train_dataloader()))
    np.testing.assert_allclose((y - x).square().mean().sqrt(), 1, rtol=1e-5)
    np.testing.assert_allclose(x.mean(), 0, atol=1e-4)


def test_the_future_does_not_move_the_statistics(monkeypatch):
    def with_another_future(*args):
        series = make_trends(*args)
        series[:, 70:] += 1000
        return series

    data = ready(num_series=5)
    monkeypatch.setattr("datamodules.series.make_trends", with_another_future)
    other = ready(num_series=5)
    assert (other.target_mean, other.target_std) == (data.target_mean, data.target_std)
    assert not torch.equal(next(iter(other.val_dataloader()))[1], next(iter(data.val_dataloader()))[1])


@pytest.mark.parametrize(("trend", "orders"), [("linear", {1}), ("quadratic", {2}), ("both", {1, 2})])
def test_trends_have_their_order_and_their_noise(trend, orders):
    clean = make_trends(trend, 20, 100, 0.0, seed=3)[..., 0].numpy()
    u = np.arange(100) / 100
    found = set()
    for series in clean:
        curvature, *_ = np.polyfit(u, series, 2)
        found.add(1 if abs(curvature) < 1e-8 else 2)
        np.testing.assert_allclose(np.polyval(np.polyfit(u, series, 2), u), series, atol=1e-8)
    assert found == orders
    noisy = make_trends(trend, 20, 100, 0.5, seed=3)[..., 0].numpy()
    np.testing.assert_allclose((noisy - clean).std(), 0.5, rtol=0.1)


def test_series_depend_on_their_seed_alone():
    torch.manual_seed(1)
    first = make_trends("both", 3, 50, 0.1, seed=0)
    torch.manual_seed(2)
    assert torch.equal(make_trends("both", 3, 50, 0.1, seed=0), first)
    assert not torch.equal(make_trends("both", 3, 50, 0.1, seed=1), first)


def test_repeating_the_last_difference_continues_a_line_exactly():
    line = make_trends("linear", 4, 40, 0.0, seed=0)
    torch.testing.assert_close(repeat_last_difference(line[:, :28], 12), line[:, 28:])


def test_values_may_be_left_as_they_are():
    data = ready(normalize=False, num_series=4, batch_size=None)
    assert (data.target_mean, data.target_std) == (0.0, 1.0)
    known, _ = next(iter(data.val_dataloader()))
    torch.testing.assert_close(known, data.splits["val"][0].float())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trend": "cubic"}, "data.trend is 'cubic'; choose from linear, quadratic, both"),
        ({"num_series": 0}, "data.num_series is 0"),
        ({"noise": -0.1}, "data.noise is -0.1"),
        ({"known_fraction": 1.0}, "leaves 100 known and 0 held-out steps"),
        ({"length": 3}, "leaves 2 known and 1 held-out steps"),
    ],
)
def test_options_that_make_no_data_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ready(**options)
