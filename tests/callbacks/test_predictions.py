"""predictions.csv, on batches made by hand."""

import os
import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from callbacks import PredictionWriter
from callbacks.predictions import interleaved, to_table
from datamodules.loader import TensorLoader


def write(folder: Path, batches: list[tuple[Any, Any]], **datamodule: Any) -> pd.DataFrame:
    """The table that comes of (outputs, ids)."""
    named = SimpleNamespace(**{"id_name": "index", **datamodule})
    trainer: Any = SimpleNamespace(datamodule=named, world_size=1, is_global_zero=True)
    writer = PredictionWriter(folder)
    for outputs, ids in batches:
        writer.on_predict_batch_end(trainer, None, outputs, (torch.zeros(len(ids), 2), ids))
    writer.on_predict_epoch_end(trainer, None)
    return pd.read_csv(folder / "predictions.csv")


def test_batches_are_put_together_in_order(tmp_path: Path) -> None:
    batches = [
        (
            {"prediction": torch.tensor([1, 0]), "probability": torch.tensor([0.75, 0.25])},
            torch.tensor([7, 3]),
        ),
        ({"prediction": torch.tensor([1]), "probability": torch.tensor([0.5])}, torch.tensor([9])),
    ]
    table = write(tmp_path, batches)
    assert table.to_dict("list") == {
        "index": [7, 3, 9],
        "prediction": [1, 0, 1],
        "probability": [0.75, 0.25, 0.5],
    }


def test_the_data_module_names_the_ids(tmp_path: Path) -> None:
    table = write(tmp_path, [({"prediction": torch.tensor([1])}, torch.tensor([892]))], id_name="PassengerId")
    assert table.columns.tolist() == ["PassengerId", "prediction"]
    assert not (tmp_path / "submission.csv").exists()


def test_ids_may_be_words(tmp_path: Path) -> None:
    batches = [(torch.tensor([1, 0]), ("b/2.png", "a/1.png")), (torch.tensor([1]), ("c.png",))]
    table = write(tmp_path, batches, id_name="file")
    assert table.to_dict("list") == {"file": ["b/2.png", "a/1.png", "c.png"], "prediction": [1, 0, 1]}


def test_submission_has_its_own_headings(tmp_path: Path) -> None:
    outputs = {"prediction": torch.tensor([1]), "probability": torch.tensor([0.9])}
    headings = {"PassengerId": "PassengerId", "prediction": "Survived"}
    write(tmp_path, [(outputs, torch.tensor([892]))], id_name="PassengerId", submission_columns=headings)
    assert (tmp_path / "submission.csv").read_text() == "PassengerId,Survived\n892,1\n"


def test_classes_have_the_values_of_the_source(tmp_path: Path) -> None:
    table = write(tmp_path, [({"prediction": torch.tensor([0, 1, 0])}, torch.arange(3))], class_values=[4, 9])
    assert table["prediction"].tolist() == [4, 9, 4]


def test_a_lone_tensor_is_the_prediction(tmp_path: Path) -> None:
    assert write(tmp_path, [(torch.tensor([0.5, 1.5]), torch.arange(2))])["prediction"].tolist() == [0.5, 1.5]


X = torch.zeros(3, 2)


@pytest.mark.parametrize("batch", [X, [X], [X, torch.full((3,), 0.5)], {"x": X}])
def test_rows_of_a_data_module_from_elsewhere_are_numbered(batch: Any, tmp_path: Path) -> None:
    """What stands next to its inputs, if anything, are labels."""
    trainer: Any = SimpleNamespace(datamodule=None, world_size=1, is_global_zero=True)
    writer = PredictionWriter(tmp_path)
    for _ in range(2):
        writer.on_predict_batch_end(trainer, None, torch.ones(3), batch)
    writer.on_predict_epoch_end(trainer, None)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert table.to_dict("list") == {"index": list(range(6)), "prediction": [1.0] * 6}


def test_a_second_prediction_does_not_repeat_the_first(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(datamodule=None, world_size=1, is_global_zero=True)
    writer = PredictionWriter(tmp_path)
    for _ in range(2):
        writer.on_predict_batch_end(trainer, None, {"prediction": torch.ones(2)}, (None, torch.arange(2)))
        writer.on_predict_epoch_end(trainer, None)
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 2


@pytest.mark.parametrize(
    ("shape", "columns"), [((3,), ["x"]), ((3, 2), ["x_0", "x_1"]), ((3, 2, 1), ["x_0", "x_1"])]
)
def test_one_column_per_number(shape: tuple[int, ...], columns: list[str]) -> None:
    values = torch.arange(torch.Size(shape).numel()).reshape(shape)
    table = to_table({"x": values}, output_names=("a", "b"))
    assert table.columns.tolist() == columns
    assert table.to_numpy().flatten().tolist() == values.flatten().tolist()


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_several_processes_write_the_rows_in_the_order_of_one(world_size: int) -> None:
    """Also where ids repeat, as the steps of many series do, and where the last batch is uneven."""
    ids = torch.arange(17) % 5
    loaders = [
        TensorLoader((torch.arange(17.0), ids), batch_size=2, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    shares = [[{"id": batch[1], "prediction": batch[0]} for batch in loader] for loader in loaders]
    batches = interleaved(shares)
    assert torch.cat([batch["prediction"] for batch in batches]).tolist() == list(range(17))
    assert torch.equal(torch.cat([batch["id"] for batch in batches]), ids)


def test_a_process_may_have_a_batch_less() -> None:
    shares = [[{"id": torch.tensor([0, 2])}, {"id": torch.tensor([4])}], [{"id": torch.tensor([1, 3])}]]
    assert torch.cat([batch["id"] for batch in interleaved(shares)]).tolist() == [0, 1, 2, 3, 4]


def test_a_full_disk_leaves_the_older_table_whole(small_disk: Path) -> None:
    """Of any length around the space that is left, so that some fail only in their last bytes."""
    status = os.statvfs(small_disk)
    (small_disk / "other").write_bytes(bytes((status.f_bavail - 10) * status.f_frsize))
    messages = []
    for length in range(3000, 6000, 100):
        (small_disk / "predictions.csv").write_text("older\n")
        try:
            write(small_disk, [({"prediction": torch.ones(length)}, torch.arange(length))])
        except OSError as error:
            messages.append(str(error))
            assert (small_disk / "predictions.csv").read_text() == "older\n"
        else:
            assert len(pd.read_csv(small_disk / "predictions.csv")) == length
        shutil.rmtree(small_disk / "earlier_predictions", ignore_errors=True)
        assert {path.name for path in small_disk.iterdir()} == {"other", "predictions.csv"}
    assert 0 < len(messages) < 30
    assert set(messages) == {f"[Errno 28] No space left on device: '{small_disk / 'predictions.csv'}'"}


Pair = namedtuple("Pair", ["mean", "deviation"])
Y = torch.tensor([0.5, 1.5, 2.5])


@pytest.mark.parametrize(
    ("outputs", "columns"),
    [
        ((Y, 2 * Y), {"prediction_0": [0.5, 1.5, 2.5], "prediction_1": [1.0, 3.0, 5.0]}),
        ([Y], {"prediction_0": [0.5, 1.5, 2.5]}),
        (Pair(Y, Y), {"mean": [0.5, 1.5, 2.5], "deviation": [0.5, 1.5, 2.5]}),
        (["a", "b", "c"], {"prediction": ["a", "b", "c"]}),
        ([0.5, 1.5, 2.5], {"prediction": [0.5, 1.5, 2.5]}),
        (list(Y), {"prediction": [0.5, 1.5, 2.5]}),
        (Y.numpy(), {"prediction": [0.5, 1.5, 2.5]}),
        ({"name": ["a", "b", "c"], "y": Y}, {"name": ["a", "b", "c"], "y": [0.5, 1.5, 2.5]}),
        ({"net": {"y": Y}}, {"net_y": [0.5, 1.5, 2.5]}),
    ],
)
def test_outputs_of_many_forms_are_columns(outputs: Any, columns: dict[str, Any], tmp_path: Path) -> None:
    table = write(tmp_path, [(outputs, torch.arange(3))])
    assert table.to_dict("list") == {"index": [0, 1, 2], **columns}
    assert not (tmp_path / "predictions.pt").exists()


@pytest.mark.parametrize(
    ("outputs", "saved"),
    [
        ("a whole text", {"prediction": "a whole text"}),
        (0.25, {"prediction": 0.25}),
        (
            {"boxes": [torch.zeros(2, 4), torch.ones(1, 4)]},
            {"boxes": [torch.zeros(2, 4), torch.ones(1, 4)]},
        ),
        ({"odd": complex(1, 2)}, {"odd": "(1+2j)"}),
        ({"loss": torch.tensor(0.5)}, {"loss": torch.tensor(0.5)}),
    ],
)
def test_what_is_no_table_is_saved_as_it_is(outputs: Any, saved: dict[str, Any], tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(datamodule=None, world_size=1, is_global_zero=True)
    writer = PredictionWriter(tmp_path)
    for with_column in (outputs, {"y": Y, "rest": outputs}):
        writer.on_predict_batch_end(trainer, None, with_column, torch.zeros(3, 2))
    writer.on_predict_epoch_end(trainer, None)
    first, second = torch.load(tmp_path / "predictions.pt", weights_only=True)
    assert first.keys() == {"dataloader", *saved}
    for name, value in saved.items():
        found, expected = (each if isinstance(each, list) else [each] for each in (first[name], value))
        for one, other in zip(found, expected, strict=True):
            assert torch.equal(one, other) if isinstance(other, Tensor) else one == other
    assert len(second) == len(first) + 1
    assert "y" in second  # a column that the first batch lacks


def test_nothing_returned_writes_nothing(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(datamodule=None, world_size=1, is_global_zero=True)
    writer = PredictionWriter(tmp_path)
    writer.on_predict_batch_end(trainer, None, None, torch.zeros(3, 2))
    writer.on_predict_epoch_end(trainer, None)
    assert writer.written == [] == list(tmp_path.iterdir())


def test_rows_say_of_which_loader_they_are(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(datamodule=None, world_size=1, is_global_zero=True)
    writer = PredictionWriter(tmp_path)
    for loader, rows in ((0, 2), (0, 1), (1, 2)):
        writer.on_predict_batch_end(
            trainer, None, torch.full((rows,), float(loader)), torch.zeros(rows), 0, loader
        )
    writer.on_predict_epoch_end(trainer, None)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert table.to_dict("list") == {
        "dataloader": [0, 0, 0, 1, 1],
        "index": [0, 1, 2, 0, 1],
        "prediction": [0.0, 0.0, 0.0, 1.0, 1.0],
    }


def test_words_of_several_processes_are_dealt_like_numbers() -> None:
    shares = [[{"id": torch.tensor([0, 2]), "word": ["a", "c"]}], [{"id": torch.tensor([1]), "word": ["b"]}]]
    assert interleaved(shares)[0]["word"] == ["a", "b", "c"]


def test_numbers_of_half_precision_are_written(tmp_path: Path) -> None:
    outputs = torch.tensor([0.5, 1.5]).bfloat16()
    assert write(tmp_path, [(outputs, torch.arange(2))])["prediction"].tolist() == [0.5, 1.5]


def test_an_earlier_prediction_is_kept_unless_it_is_the_same(tmp_path: Path) -> None:
    """The newest is always predictions.csv."""
    earlier = tmp_path / "earlier_predictions"
    for value, kept in ((1.0, []), (1.0, []), (2.0, ["1"]), (3.0, ["1", "2"])):
        write(tmp_path, [(torch.full((2,), value), torch.arange(2))])
        found = sorted(earlier.iterdir()) if earlier.exists() else []
        assert [path.name for path in found] == kept
    values = [
        pd.read_csv(folder / "predictions.csv")["prediction"][0]
        for folder in (earlier / "1", earlier / "2", tmp_path)
    ]
    assert values == [1.0, 2.0, 3.0]


def test_a_submission_goes_with_its_predictions(tmp_path: Path) -> None:
    outputs, headings = {"prediction": torch.tensor([1])}, {"index": "Id", "prediction": "Survived"}
    write(tmp_path, [(outputs, torch.tensor([892]))], submission_columns=headings)
    write(tmp_path, [(outputs, torch.tensor([893]))])
    assert not (tmp_path / "submission.csv").exists()
    assert (tmp_path / "earlier_predictions/1/submission.csv").read_text() == "Id,Survived\n892,1\n"


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (("price (EUR)", "days"), ["price (EUR)", "days"]),
        (("a",), ["0", "1"]),
        (("a", "a"), ["0", "1"]),
        ("ab", ["0", "1"]),
    ],
)
def test_columns_of_outputs_with_names(names: Any, columns: list[str]) -> None:
    table = to_table({"prediction": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}, output_names=names)
    assert table.columns.tolist() == [f"prediction_{name}" for name in columns]
    assert table.iloc[:, 1].tolist() == [2.0, 4.0]
