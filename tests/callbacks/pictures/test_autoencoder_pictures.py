"""Reconstruction, Codes and Projector show what an autoencoder restores and how its codes lie."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from callbacks.pictures import EVERY_RUN, Codes, Projector, Reconstruction
from callbacks.pictures.codes import draw_neighbors, label_places, nearest_codes, principal_plane
from callbacks.pictures.images import corner, first_of_each_class
from callbacks.pictures.style import BLUE, VERMILION
from tests.callbacks.pictures.small import Autoencoder, X, Y, convnet, data, figures, fit

CODES = np.random.default_rng(0).normal(size=(60, 7)) @ np.diag([5, 3, 2, 1, 1, 1, 1])


def test_originals_above_reconstructions_above_differences():
    model = Autoencoder()
    figure = figures(Reconstruction(), model)["reconstruction/images"]
    images, restored, difference = (axes.images[0].get_array().filled(np.nan) for axes in figure.axes[:3])
    chosen = first_of_each_class(Y, 10)
    x = X[chosen]
    with torch.no_grad():
        output = model(x).double().numpy()[:, 0]
    top, left = corner(3, output, 10, 1, len(images) - 8)
    for drawn, expected in ((images, x[3, 0].double().numpy()), (restored, output[3])):
        assert np.allclose(drawn[top : top + 8, left : left + 8], expected)
    assert np.allclose(difference, restored - images, equal_nan=True)
    mse = float(((output[3] - x[3, 0].numpy()) ** 2).mean())
    assert figure.axes[2].texts[3].get_text() == f"{mse:.4f}"
    first, second, third = (axes.images[0].norm for axes in figure.axes[:3])
    assert (first.vmin, first.vmax) == (second.vmin, second.vmax)
    assert third.vmin == -third.vmax


def test_the_plane_is_that_of_scikit_learn():
    points, shares = principal_plane(CODES)
    expected = PCA(2).fit(CODES)
    assert np.allclose(np.abs(points), np.abs(expected.transform(CODES)))
    assert np.allclose(shares, expected.explained_variance_ratio_)


def test_the_plane_does_not_flip():
    """Whatever sign the decomposition happens to give, the picture is the same."""
    direction = np.array([0.1, -3.0, 0.2])
    codes = np.outer(np.arange(5.0), direction)
    points, shares = principal_plane(codes)
    assert np.all(np.diff(points[:, 0]) < 0)  # the largest entry of the direction counts as positive
    assert shares[0] == pytest.approx(1)
    assert np.allclose(principal_plane(np.zeros((4, 3)))[0], 0)


def test_neighbors_are_those_of_scikit_learn():
    queries = np.array([4, 0, 31])
    rows, cosines = nearest_codes(CODES, queries)
    search = NearestNeighbors(n_neighbors=6, metric="cosine").fit(CODES)
    distances, expected = search.kneighbors(CODES[queries])
    assert np.array_equal(rows, expected[:, 1:])
    assert np.allclose(cosines, 1 - distances[:, 1:])


def test_labels_do_not_lie_on_each_other():
    points = np.repeat([[0.0, 0.0], [0.01, 0.0], [1.0, 1.0]], 3, axis=0)
    places = label_places(points, np.repeat([0, 1, 2], 3))
    assert places[0] == (0, 0)
    assert places[2] == (1, 1)
    assert places[1][1] > 0.04


def test_the_points_of_each_class():
    model = Autoencoder()
    drawn = figures(Codes(), model)
    assert list(drawn) == ["code/plane", "code/neighbors"]
    with torch.no_grad():
        points, shares = principal_plane(model.encode(X).double().numpy())
    axes = drawn["code/plane"].axes[0]
    for label, scattered in enumerate(axes.collections):
        assert np.allclose(scattered.get_offsets(), points[label == Y])
        assert scattered.get_label() == "abc"[label]
    assert f"{shares[0]:.0%} of the variance" in axes.get_xlabel()


def test_cosines_and_classes_of_neighbors():
    figure = draw_neighbors(np.zeros((1, 3, 8, 8)), np.array([[2, 2, 1]]), np.array([[0.9, 0.25]]))
    texts = [(text.get_text(), text.get_color()) for text in figure.axes[0].texts]
    assert texts == [("query", "black"), ("0.900", BLUE), ("0.250", VERMILION)]


def test_the_projector_gets_the_codes_after_training(tmp_path: Path):
    logger, model = TensorBoardLogger(tmp_path, name="run"), Autoencoder()
    fit(model, Projector(), logger=logger)
    (folder,) = Path(logger.log_dir).glob("*/code")
    with torch.no_grad():
        codes = model.encode(X[:10]).numpy()
    assert np.allclose(np.loadtxt(folder / "tensors.tsv", delimiter="\t"), codes, atol=1e-5)
    assert (folder / "metadata.tsv").read_text().split() == ["abc"[label] for label in Y[:10]]
    assert (folder / "sprite.png").exists()
    assert (
        f"{folder.parent.name}/code/tensors.tsv" in (folder.parents[1] / "projector_config.pbtxt").read_text()
    )


def test_only_autoencoders_of_images():
    for kind in (Reconstruction, Codes, Projector):
        assert kind().suits(Autoencoder(), data())
        assert not kind().suits(Autoencoder(), data(in_shape=[64]))
        assert not kind().suits(convnet(), data())


@pytest.mark.parametrize("make", [convnet, Autoencoder])
def test_in_a_training_without_a_warning(make, tmp_path: Path, recwarn: pytest.WarningsRecorder):
    fit(make(), *(kind(tmp_path) for kind in EVERY_RUN))
    assert not [text for each in recwarn if "cannot be drawn" in (text := str(each.message))]
    names = {path.name for path in tmp_path.iterdir()}
    expected = {"filters_00_net.0", "feature_maps_blocks", "errors_hardest"}
    if make is Autoencoder:
        expected = {"filters_00_net.1", "reconstruction_images", "code_plane", "code_neighbors"}
    steps = ("000000", "000004", "000008")
    assert {f"{name}_{step}.png" for name in expected for step in steps} <= names
    assert ("robustness_accuracy_000008.png" in names) == (make is convnet)
