"""The toy sets follow their formulas, and depend on their own seeds alone."""

import numpy as np
import pytest
import torch

from datamodules import ToyDataModule
from datamodules.toy import TOY_SETS


def ready(**options):
    data = ToyDataModule(**options)
    data.setup("fit")
    return data


def points(**options):
    x, y = ready(val_fraction=0, **options).splits["train"]
    return x.numpy(), y.numpy()


@pytest.mark.parametrize("name", TOY_SETS)
def test_batches_have_the_announced_shape_and_kind(name):
    data = ToyDataModule(name=name)
    in_shape, out_features = list(data.in_shape), data.out_features  # before anything is made
    data.setup("fit")
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        x, y = next(iter(loader))
        assert x.dtype == torch.float32
        assert list(x.shape[1:]) == in_shape
        assert y.shape == x.shape[:1]
        if data.task == "regression":
            assert y.dtype == torch.float32
        else:
            assert y.dtype == torch.int64
            assert 0 <= y.min() <= y.max() < len(data.class_names) == max(2, out_features)


@pytest.mark.parametrize("name", TOY_SETS)
def test_points_depend_on_the_data_seed_alone(name):
    torch.manual_seed(1)
    x, y = points(name=name)
    torch.manual_seed(2)
    again_x, again_y = points(name=name)
    np.testing.assert_array_equal(x, again_x)
    np.testing.assert_array_equal(y, again_y)
    if name != "damped_sine":  # which has neither random inputs nor noise
        assert not np.array_equal(x, points(name=name, data_seed=1)[0])


@pytest.mark.parametrize("num_features", [1, 3])
def test_linear_is_linear_up_to_its_noise(num_features):
    x, y = points(name="linear", num_features=num_features)
    assert x.shape == (500, num_features)
    _, residual, rank, _ = np.linalg.lstsq(np.c_[x, np.ones(500)], y)
    assert rank == num_features + 1
    np.testing.assert_allclose(np.sqrt(residual[0] / 500), 10, rtol=0.1)
    x, y = points(name="linear", num_features=num_features, noise=0)
    np.testing.assert_allclose(np.linalg.lstsq(x, y)[1], 0, atol=1e-18)


def test_nonlinear_follows_its_formula():
    x, y = points(name="nonlinear")
    np.testing.assert_allclose(y, x[:, 0] ** 2 + 15 * np.sin(x[:, 0]) ** 3)
    assert 50 < y.var() < 65


def test_damped_sine_follows_its_formula():
    x, y = points(name="damped_sine")
    np.testing.assert_allclose(x[:, 0], np.arange(-10, 10, 0.1), atol=1e-9)
    np.testing.assert_allclose(y, np.sin(3 * x[:, 0]) * np.exp(-x[:, 0] / 8))


def test_rings_are_a_disc_inside_a_ring():
    x, y = points(name="rings")
    radius = np.hypot(*x.T)
    assert np.bincount(y).tolist() == [1000, 1000]
    assert radius[y == 1].max() < 1
    assert 3 < radius[y == 0].min() < radius[y == 0].max() < 4
    # Evenly spread: a disc of half the area holds half of the points; so does the inner half of the ring.
    assert abs((radius[y == 1] < 0.5**0.5).mean() - 0.5) < 0.05
    assert abs((radius[y == 0] < 12.5**0.5).mean() - 0.5) < 0.05


def test_circles_and_blobs_are_balanced_and_lie_where_they_should():
    x, y = points(name="circles", noise=0)
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 1, 0.5, 1.0))
    x, y = points(name="blobs", noise=0)
    assert {tuple(row) for row in x} == {(-3, -3), (-3, 3), (3, -3), (3, 3)}
    assert np.bincount(y).tolist() == [50, 50, 50, 50]


@pytest.mark.parametrize("name", ["nonlinear", "damped_sine", "rings"])
def test_noise_is_added_with_the_given_deviation(name):
    clean, noisy = points(name=name), points(name=name, noise=0.3)
    changed = noisy[0] - clean[0] if name == "rings" else noisy[1] - clean[1]
    np.testing.assert_allclose(changed.std(), 0.3, rtol=0.15)


def test_held_out_rows_follow_the_split_seed():
    data, other = ready(name="circles"), ready(name="circles", split_seed=1)
    assert [len(data.splits[split][0]) for split in ("train", "val", "test")] == [240, 60, 60]
    assert not torch.equal(data.splits["val"][0], other.splits["val"][0])
    rows = torch.cat([data.splits["train"][0], data.splits["val"][0]])
    assert len(rows.unique(dim=0)) == 300


def test_without_held_out_rows_figures_are_in_sample():
    data = ready(name="damped_sine", val_fraction=0)
    assert torch.equal(data.splits["train"][0], data.splits["val"][0])
    assert len(data.splits["val"][0]) == 200


def test_prediction_covers_all_rows_by_index():
    data = ready(name="blobs", eval_batch_size=64)
    ids = torch.cat([ids for _, ids in data.predict_dataloader()])
    assert torch.equal(ids, torch.arange(200))


def test_the_target_can_be_normalized():
    data = ToyDataModule(name="nonlinear", val_fraction=0, normalize_target=True, batch_size=None)
    np.testing.assert_allclose(data.target_std, points(name="nonlinear")[1].std())  # asked for before setup
    _, y = next(iter(data.train_dataloader()))
    torch.testing.assert_close(y.std(correction=0), torch.tensor(1.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "circels"}, "data.name is 'circels'; did you mean 'circles'"),
        ({"num_samples": 1}, "data.num_samples is 1"),
        ({"noise": -1.0}, "data.noise is -1.0"),
        ({"val_fraction": 1.0}, "data.val_fraction is 1.0"),
        ({"val_fraction": 0.9, "num_samples": 4}, "4 rows leave none for training"),
        ({"name": "rings", "num_features": 3}, "data.num_features is 3; 'rings' has 2"),
        ({"name": "linear", "num_features": 0}, "data.num_features is 0"),
        ({"name": "blobs", "normalize_target": True}, "data.normalize_target is true"),
    ],
)
def test_options_that_make_no_data_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ready(**options)
