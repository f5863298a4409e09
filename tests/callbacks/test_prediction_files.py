"""Predictions of masks, images and other arrays: what the files hold, read with Pillow and NumPy."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from callbacks import PredictionWriter
from callbacks.pictures.style import mask_colors
from datamodules.loader import TensorLoader


def write(folder: Path, batches: list[Any], ids: list[Any] | None = None, loaders: Any = None) -> Any:
    """Write what was predicted; returns the table and what is said about the files."""
    data = SimpleNamespace(id_name="index" if ids else "")
    trainer: Any = SimpleNamespace(datamodule=data, world_size=1, is_global_zero=True)
    writer = PredictionWriter(folder)
    for number, outputs in enumerate(batches):
        batch = (None, ids[number]) if ids else None
        loader = loaders[number] if loaders else 0
        writer.on_predict_batch_end(trainer, None, outputs, batch, 0, loader)
    writer.on_predict_epoch_end(trainer, None)
    return pd.read_csv(folder / "predictions.csv"), writer.lines


MASKS = torch.arange(12 * 16 * 16).reshape(12, 16, 16) % 5
IMAGES = torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def test_a_mask_is_an_image_whose_pixels_are_the_classes(tmp_path: Path) -> None:
    ids = torch.tensor([7, 12, 100, 3])
    table, lines = write(tmp_path, [MASKS[:2], MASKS[2:4]], [ids[:2], ids[2:]])
    names = [f"predictions/prediction_{number:03d}.png" for number in ids.tolist()]
    assert table.to_dict("list") == {"index": ids.tolist(), "prediction": names}
    for name, mask in zip(names, MASKS, strict=False):
        image = Image.open(tmp_path / name)
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), mask)
        red, green, blue = np.asarray(image.convert("RGB"))[mask == 1][0].tolist()
        assert f"#{red:02X}{green:02X}{blue:02X}" == mask_colors(5)[1]
    assert lines["prediction"] == f"{tmp_path / 'predictions'} (4 images)"


@pytest.mark.parametrize("masks", [MASKS[:2].bool(), MASKS[:2, None], MASKS[:2].byte(), MASKS[:2].int()])
def test_masks_of_many_types(masks: Tensor, tmp_path: Path) -> None:
    table, _ = write(tmp_path, [masks])
    for name, mask in zip(table["prediction"], masks, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), mask.reshape(16, 16))


def test_classes_have_colors_of_their_own() -> None:
    assert len(set(mask_colors(256))) == 256


@pytest.mark.parametrize("values", [-MASKS[:2], 200 * MASKS[:2]])
def test_numbers_that_are_no_classes_of_a_palette_are_an_array(values: Tensor, tmp_path: Path) -> None:
    table, lines = write(tmp_path, [values])
    assert table.to_dict("list") == {"index": [0, 1]}
    assert np.array_equal(np.load(tmp_path / "predictions/prediction.npy"), values)
    assert "[2, 16, 16], a row for each of the table" in lines["prediction.npy"]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_from_0_to_1_keeps_its_shades(channels: int, tmp_path: Path) -> None:
    images = IMAGES[:, :channels]
    table, _ = write(tmp_path, [{"restored": images[:3]}, {"restored": images[3:]}])
    for name, image in zip(table["restored"], images, strict=True):
        found = np.asarray(Image.open(tmp_path / name), float).reshape(12, 12, channels) / 255
        assert np.abs(found - image.permute(1, 2, 0).numpy()).max() <= 0.5 / 255 + 1e-6
    assert not list((tmp_path / "predictions").glob("*.npy"))


def test_bytes_are_the_pixels(tmp_path: Path) -> None:
    images = (255 * IMAGES).byte()
    table, _ = write(tmp_path, [images])
    assert np.array_equal(
        np.asarray(Image.open(tmp_path / table["prediction"][1])).transpose(2, 0, 1), images[1]
    )


def test_an_image_on_another_scale_keeps_its_numbers_too(tmp_path: Path) -> None:
    """Lowest and highest value of all images are black and white, and the file of numbers is exact."""
    images = 4 * IMAGES - 1
    table, lines = write(tmp_path, [images[:2], images[2:]])
    low, high = float(images.min()), float(images.max())
    shades = np.asarray(Image.open(tmp_path / table["prediction"][2]), float).transpose(2, 0, 1)
    assert np.abs(low + shades / 255 * (high - low) - images[2].numpy()).max() < 0.01 * (high - low)
    assert np.array_equal(np.load(tmp_path / "predictions/prediction.npy"), images)
    assert f"{low:.4g} is black, {high:.4g} is white" in lines["prediction"]


def test_nan_is_no_error(tmp_path: Path) -> None:
    images = IMAGES.clone()
    images[0, 0, 0, 0] = float("nan")
    table, _ = write(tmp_path, [images])
    assert np.asarray(Image.open(tmp_path / table["prediction"][0]))[0, 0, 0] == 0


def test_probabilities_of_three_classes_are_no_picture_in_color(tmp_path: Path) -> None:
    probability = IMAGES.softmax(1)
    table, _ = write(tmp_path, [{"prediction": probability.argmax(1), "probability": probability}])
    assert table.columns.tolist() == ["index", "prediction"]
    assert np.array_equal(np.load(tmp_path / "predictions/probability.npy"), probability)


@pytest.mark.parametrize(("width", "columns"), [(128, 128), (129, 0)])
def test_how_many_numbers_are_columns(width: int, columns: int, tmp_path: Path) -> None:
    values = torch.rand(3, width)
    table, _ = write(tmp_path, [{"y": torch.arange(3.0), "code": values}])
    assert len(table.columns) == 2 + columns
    assert (tmp_path / "predictions/code.npy").exists() == (columns == 0)


def test_steps_of_long_series_stay_rows(tmp_path: Path) -> None:
    """Also where a batch has more numbers for each series than a table has columns."""
    steps = torch.arange(200).expand(2, 200)
    table, _ = write(tmp_path, [{"prediction": torch.rand(2, 200, 1)}], [steps])
    assert table.shape == (400, 3)


def test_images_of_different_sizes(tmp_path: Path) -> None:
    images = [torch.rand(1, 1, size, 2 * size) for size in (12, 14, 16)]
    table, _ = write(tmp_path, images)
    assert [Image.open(tmp_path / name).size for name in table["prediction"]] == [
        (24, 12),
        (28, 14),
        (32, 16),
    ]


def test_arrays_of_different_sizes_are_saved_by_batch(tmp_path: Path) -> None:
    values = [torch.rand(2, size) for size in (200, 300)]
    write(tmp_path, [{"y": torch.ones(2), "code": each} for each in values])
    saved = torch.load(tmp_path / "predictions.pt", weights_only=True)
    assert all(torch.equal(batch["code"], each) for batch, each in zip(saved, values, strict=True))


def test_each_loader_has_files_of_its_own(tmp_path: Path) -> None:
    table, _ = write(tmp_path, [MASKS[:2], MASKS[2:4]], loaders=[0, 1])
    assert table["dataloader"].tolist() == [0, 0, 1, 1]
    for name, mask in zip(table["prediction"], MASKS, strict=False):
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), mask)


def test_ids_that_repeat_do_not_overwrite_each_other(tmp_path: Path) -> None:
    table, _ = write(tmp_path, [MASKS[:3]], [torch.tensor([5, 5, 6])])
    assert table["index"].tolist() == [5, 5, 6]
    assert table["prediction"].nunique() == 3


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_several_processes_write_the_images_of_one(
    world_size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = SimpleNamespace(id_name="index")
    shares = []
    for rank in range(world_size):
        trainer: Any = SimpleNamespace(datamodule=data, world_size=world_size, is_global_zero=rank == 0)
        writer = PredictionWriter(tmp_path)
        loader = TensorLoader((MASKS, torch.arange(12)), batch_size=3, rank=rank, world_size=world_size)
        for masks, ids in loader:
            writer.on_predict_batch_end(trainer, None, masks, (None, ids))
        shares.append(writer._batches)
    monkeypatch.setattr(writer, "_gather", lambda trainer: shares)
    writer.on_predict_epoch_end(SimpleNamespace(datamodule=data, is_global_zero=True), None)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert table["index"].tolist() == list(range(12))
    for name, mask in zip(table["prediction"], MASKS, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), mask)


def test_earlier_images_move_with_their_table(tmp_path: Path) -> None:
    """The table is the same, as it holds names only."""
    write(tmp_path, [MASKS[:2]])
    _, lines = write(tmp_path, [MASKS[2:4]])
    earlier = tmp_path / "earlier_predictions" / "1"
    assert lines["earlier predictions"] == str(earlier)
    for folder, mask in ((earlier, MASKS[0]), (tmp_path, MASKS[2])):
        name = pd.read_csv(folder / "predictions.csv")["prediction"][0]
        assert np.array_equal(np.asarray(Image.open(folder / name)), mask)


def test_names_that_are_no_names_of_files(tmp_path: Path) -> None:
    table, _ = write(tmp_path, [{"net/mask": MASKS[:2], "a b/code": torch.rand(2, 300)}])
    assert table["net/mask"][0] == "predictions/net_mask_0.png"
    assert {path.name for path in (tmp_path / "predictions").iterdir()} == {
        "net_mask_0.png",
        "net_mask_1.png",
        "a_b_code.npy",
    }


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (["cats/001.jpg", "dogs/001.jpg"], ["cats_001.jpg", "dogs_001.jpg"]),
        (["a/b", "a_b"], ["0", "1"]),
    ],
)
def test_ids_may_be_words(ids: list[str], names: list[str], tmp_path: Path) -> None:
    table, _ = write(tmp_path, [MASKS[:2]], [ids])
    assert table.to_dict("list") == {
        "index": ids,
        "prediction": [f"predictions/prediction_{name}.png" for name in names],
    }
    assert all((tmp_path / name).is_file() for name in table["prediction"])
