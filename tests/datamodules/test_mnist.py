"""Images in the manner of MNIST: the splits, the classes, the normalization; and the real one where it is."""

import gzip

import numpy as np
import pytest
import torch
from torchvision.datasets import MNIST

from datamodules import MNISTDataModule
from datamodules.idx import read_idx
from datamodules.mnist_files import find_files
from tests.conftest import bar_images, write_idx, write_mnist


def ready(data_dir, **options):
    data = MNISTDataModule(data_dir=str(data_dir), **options)
    data.setup("fit")
    return data


def rows_of(images, pool):
    """Where each of the images stands in the pool."""
    places = {image.numpy().tobytes(): row for row, image in enumerate(pool)}
    return [places[image.numpy().tobytes()] for image in images]


def test_files_are_read_as_torchvision_reads_them(mnist_dir):
    data = ready(mnist_dir)
    for train, splits in ((True, ("train", "val")), (False, ("test",))):
        reference = MNIST(mnist_dir, train=train)
        x = torch.cat([data.splits[split][0] for split in splits])
        y = torch.cat([data.splits[split][1] for split in splits])
        rows = rows_of(x[:, 0], reference.data)
        assert sorted(rows) == list(range(len(reference)))
        assert torch.equal(y, reference.targets[rows])


def test_what_the_data_dictate_is_known_before_there_are_files(tmp_path):
    data = MNISTDataModule(data_dir=str(tmp_path / "nothing"))
    assert (data.task, list(data.in_shape), data.in_features) == ("multiclass", [1, 28, 28], 784)
    assert (data.out_features, data.target_mean, data.target_std) == (10, 0.0, 1.0)


def test_test_images_are_never_trained_or_validated_on(mnist_dir):
    data = ready(mnist_dir)
    official = torch.from_numpy(bar_images(60, seed=1)[0].astype(np.uint8))
    assert torch.equal(data.splits["test"][0][:, 0], official)
    held_in = {image.numpy().tobytes() for split in ("train", "val") for image in data.splits[split][0]}
    assert not held_in & {image.numpy().tobytes() for image in data.splits["test"][0]}


def test_a_twelfth_is_held_out_by_the_split_seed_alone(mnist_dir):
    torch.manual_seed(1)
    data = ready(mnist_dir)
    torch.manual_seed(2)
    again, other = ready(mnist_dir, order_seed=5), ready(mnist_dir, split_seed=1)
    assert [len(data.splits[split][0]) for split in ("train", "val")] == [220, 20]
    assert torch.equal(data.splits["val"][0], again.splits["val"][0])
    assert not torch.equal(data.splits["val"][0], other.splits["val"][0])


def test_the_first_split_keeps_the_order_of_the_file(mnist_dir):
    data = ready(mnist_dir, split="first", num_val=40)
    images = torch.from_numpy(bar_images(240, seed=0)[0].astype(np.uint8))
    assert torch.equal(data.splits["train"][0][:, 0], images[:200])
    assert torch.equal(data.splits["val"][0][:, 0], images[200:])


def test_a_subset_is_drawn_from_the_training_images_only(mnist_dir):
    data = ready(mnist_dir, subset=120)
    assert [len(data.splits[split][0]) for split in ("train", "val", "test")] == [110, 10, 60]
    kept = torch.cat([data.splits[split][0] for split in ("train", "val")])
    assert len(kept.flatten(1).unique(dim=0)) == 120
    assert torch.equal(data.splits["val"][0], ready(mnist_dir, subset=120).splits["val"][0])


@pytest.mark.parametrize("classes", [[4, 9], [9, 4], [1, 2, 7]])
def test_classes_are_relabeled_in_the_given_order(mnist_dir, classes):
    data = ready(mnist_dir, classes=classes, split="first")
    _, labels = bar_images(240, seed=0)
    expected = [classes.index(label) for label in labels if label in classes]
    assert torch.cat([data.splits[split][1] for split in ("train", "val")]).tolist() == expected
    assert set(data.splits["test"][1].tolist()) == set(range(len(classes)))
    assert data.class_names == [str(label) for label in classes]
    binary = len(classes) == 2
    assert (data.task, data.out_features) == (("binary", 1) if binary else ("multiclass", 3))


@pytest.mark.parametrize("normalize", ["none", "dataset", "pixel", "image"])
def test_batches_are_normalized_as_asked(mnist_dir, normalize):
    data = ready(mnist_dir, normalize=normalize, batch_size=None)
    x, y = next(iter(data.train_dataloader()))
    assert x.dtype == torch.float32
    assert x.shape == (220, 1, 28, 28)
    assert y.dtype == torch.int64
    pixels = data.splits["train"][0].float().numpy() / 255
    expected = {
        "none": pixels,
        "dataset": (pixels - pixels.mean()) / pixels.std(),
        "pixel": (pixels - pixels.mean(0)) / np.maximum(pixels.std(0), 0.1),
        "image": (pixels - pixels.mean((1, 2, 3), keepdims=True)) / pixels.std((1, 2, 3), keepdims=True),
    }[normalize]
    np.testing.assert_allclose(x, expected, atol=1e-4)


@pytest.mark.parametrize("normalize", ["dataset", "pixel"])
def test_statistics_come_from_the_training_images_and_travel(mnist_dir, tmp_path, normalize):
    trained = ready(mnist_dir, normalize=normalize, split="first")
    write_mnist(tmp_path)
    images, _ = bar_images(240, seed=0)
    images[-20:] = 255  # the validation images
    write_idx(tmp_path / "train-images-idx3-ubyte", images)
    data = ready(tmp_path, normalize=normalize, split="first")
    assert torch.equal(data.statistics["input_mean"], trained.statistics["input_mean"])
    assert torch.equal(data.statistics["input_std"], trained.statistics["input_std"])

    other = MNISTDataModule(data_dir=mnist_dir, normalize=normalize, split_seed=7)
    other.setup("test")
    other.load_state_dict(trained.state_dict())
    assert torch.equal(next(iter(other.test_dataloader()))[0], next(iter(trained.test_dataloader()))[0])


def test_an_image_of_one_shade_is_not_divided_by_zero(mnist_dir):
    data = ready(mnist_dir, normalize="image")
    assert torch.equal(
        data.transform_batch(torch.full((1, 1, 28, 28), 7, dtype=torch.uint8)), torch.zeros(1, 1, 28, 28)
    )


def test_only_training_batches_are_warped(mnist_dir):
    options = {"normalize": "none", "batch_size": None, "eval_batch_size": 240}
    plain = ready(mnist_dir, **options)
    warped = ready(mnist_dir, augment={"degrees": 10, "shift": 2, "scale": 0.1, "shear": 0.1}, **options)
    loaders = {
        name: [getattr(data, f"{name}_dataloader")() for data in (plain, warped)] for name in ("train", "val")
    }
    batches = {name: [next(iter(loader))[0] for loader in pair] for name, pair in loaders.items()}
    assert torch.equal(*batches["val"])
    assert (batches["train"][0] - batches["train"][1]).abs().amax((1, 2, 3)).min() > 0.1
    assert batches["train"][1].min() >= 0
    assert batches["train"][1].max() <= 1.001


def test_prediction_covers_the_test_images_by_their_place_in_the_file(mnist_dir):
    data = ready(mnist_dir, eval_batch_size=25, classes=[4, 9])
    x, ids = (torch.cat(parts) for parts in zip(*data.predict_dataloader(), strict=True))
    assert ids.tolist() == [row for row, label in enumerate(bar_images(60, seed=1)[1]) if label in (4, 9)]
    assert torch.equal(x, torch.cat([x for x, _ in data.test_dataloader()]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": [4, 10]}, "data.classes has 10; classes are numbered 0 to 9"),
        ({"classes": [4]}, "at least two different classes"),
        ({"classes": [4, 4]}, "at least two different classes"),
        ({"subset": 1000}, "data.subset is 1000, but there are only 240 images"),
        ({"subset": 0}, "data.subset is 0"),
        ({"num_val": 240}, "data.num_val is 240, which leaves none of 240 images"),
        ({"normalize": "image "}, "data.normalize is 'image '; did you mean 'image'"),
        ({"dataset": "fashon"}, "data.dataset is 'fashon'; did you mean 'fashion'"),
        ({"augment": {"degree": 10}}, "data.augment is 'degree'; did you mean 'degrees'"),
        ({"augment": {"shift": -1}}, "data.augment.shift is -1"),
    ],
)
def test_options_that_do_not_fit_are_refused(mnist_dir, options, message):
    with pytest.raises(ValueError, match=message):
        ready(mnist_dir, **options)


def test_a_class_without_images_is_named(tmp_path):
    write_mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(240) % 9)
    with pytest.raises(
        ValueError, match=r"data.classes has 9, but .*train-labels.* has no image of that class"
    ):
        ready(tmp_path, classes=[4, 9])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"", "is not an IDX file"),
        ("train-images-idx3-ubyte", b"<html>", "is not an IDX file"),
        ("train-images-idx3-ubyte", bytes([0, 0, 8, 3, 0, 0]), "ends within its header"),
        (
            "train-images-idx3-ubyte",
            bytes([0, 0, 8, 3]) + bytes(11) + b"\x07" + bytes(5),
            "should hold 0 x 0 x 7 bytes",
        ),
        ("train-images-idx3-ubyte", bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 1]), r"images should be \(N, 28, 28\)"),
        ("train-labels-idx1-ubyte", bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 1]), "there are 240 images"),
        ("train-labels-idx1-ubyte", bytes([0, 0, 8, 1, 0, 0, 0, 240]) + b"\x0a" * 240, "has the label 10"),
        pytest.param(
            "t10k-images-idx3-ubyte", gzip.compress(b"x" * 99)[:20], "is damaged", id="compressed and cut off"
        ),
        ("t10k-labels-idx1-ubyte", bytes([0, 0, 8, 1]) + (10_000).to_bytes(4) + bytes(10_000), "not its MD5"),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, content, message):
    write_mnist(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        ready(tmp_path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_idx_files_are_read_in_their_shape(tmp_path):
    values = np.arange(24).reshape(2, 3, 4)
    write_idx(tmp_path / "plain", values)
    (tmp_path / "packed").write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    for name in ("plain", "packed"):
        np.testing.assert_array_equal(read_idx(tmp_path / name), values)


def test_full_mnist_has_the_published_numbers(full_mnist_dir):
    data = ready(full_mnist_dir)
    assert [len(data.splits[split][0]) for split in ("train", "val", "test")] == [55_000, 5_000, 10_000]
    labels = torch.cat([data.splits[split][1] for split in ("train", "val")])
    assert labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert data.splits["test"][1][:5].tolist() == [7, 2, 1, 0, 4]
    assert abs(data.statistics["input_mean"] - 0.1307) < 5e-4
    assert abs(data.statistics["input_std"] - 0.3081) < 5e-4


def test_full_mnist_fours_and_nines_are_split_as_the_experiment_needs(full_mnist_dir):
    data = ready(full_mnist_dir, classes=[4, 9], split="first", num_val=1791, normalize="image")
    assert [len(data.splits[split][0]) for split in ("train", "val", "test")] == [10_000, 1_791, 1_991]


def test_full_mnist_under_another_name_is_refused(full_mnist_dir, tmp_path):
    (tmp_path / "FashionMNIST").mkdir()
    for name, path in find_files(full_mnist_dir, "mnist").items():
        (tmp_path / "FashionMNIST" / (name + path.suffix)).symlink_to(path.resolve())
    with pytest.raises(ValueError, match="of another data set than fashion"):
        ready(tmp_path, dataset="fashion")
