"""predictions.csv of a class for each position: a row for each, also if batches are padded to different lengths."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from callbacks import PredictionWriter

TAGS = ("O", "B-PER", "I-PER")


def outputs(lengths: list[int], width: int, seed: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    """What a task returns for sentences of these lengths, and their targets, padded."""
    generator = torch.Generator().manual_seed(seed)
    probability = torch.rand(len(lengths), len(TAGS), width, generator=generator).softmax(1)
    target = torch.full((len(lengths), width), -100)
    for row, length in zip(target, lengths, strict=True):
        row[:length] = 0
    return {"prediction": probability.argmax(1), "probability": probability}, target


def written(folder: Path, batches: list[tuple[Any, Any]], **data: Any) -> pd.DataFrame:
    trainer: Any = SimpleNamespace(datamodule=SimpleNamespace(**data), world_size=1, is_global_zero=True)
    writer = PredictionWriter(folder)
    for predicted, batch in batches:
        writer.on_predict_batch_end(trainer, None, predicted, batch)
    writer.on_predict_epoch_end(trainer, None)
    assert [path.name for path in folder.iterdir()] == ["predictions.csv"]
    return pd.read_csv(folder / "predictions.csv")


@pytest.mark.parametrize("width", [4, 60])  # 180 numbers for each sentence are too many for columns
def test_a_row_for_each_position(width: int, tmp_path: Path) -> None:
    predicted, _ = outputs([width] * 2, width)
    table = written(
        tmp_path, [(predicted, (torch.zeros(2, width), torch.tensor([7, 3])))], id_name="sentence"
    )
    assert table.columns.tolist() == ["sentence", "position", "prediction", "probability"]
    assert table["sentence"].tolist() == [7] * width + [3] * width
    assert table["position"].tolist() == [*range(width)] * 2
    assert table["prediction"].tolist() == predicted["prediction"].flatten().tolist()
    largest = predicted["probability"].amax(1).flatten().tolist()
    assert table["probability"].tolist() == pytest.approx(largest, rel=1e-6)


def test_batches_of_different_lengths_without_their_padding(tmp_path: Path) -> None:
    first, target = outputs([3, 1], 3)
    second, other = outputs([5], 5, seed=1)
    batches = [(first, (torch.zeros(2, 3), target)), (second, (torch.zeros(1, 5), other))]
    table = written(tmp_path, batches, class_names=TAGS)
    assert table["index"].tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 2]
    assert table["position"].tolist() == [0, 1, 2, 0, 0, 1, 2, 3, 4]
    classes = [*first["prediction"][0], first["prediction"][1, 0], *second["prediction"][0]]
    assert table["prediction"].tolist() == [TAGS[int(each)] for each in classes]


def test_positions_without_weight_are_padding(tmp_path: Path) -> None:
    predicted, target = outputs([2, 3], 3)
    batch = (torch.zeros(2, 3), torch.tensor([5, 6]), (target != -100).float())
    predicted = {**predicted, "length": torch.tensor([2, 3]), "word": ["a", "b"]}
    table = written(tmp_path, [(predicted, batch)], id_name="sentence")
    assert table["sentence"].tolist() == [5, 5, 6, 6, 6]
    assert table["length"].tolist() == [2, 2, 3, 3, 3]
    assert table["word"].tolist() == ["a", "a", "b", "b", "b"]


def test_labels_and_several_outputs_stay_in_one_row(tmp_path: Path) -> None:
    labels = {"prediction": torch.tensor([[1, 0]]), "probability": torch.tensor([[0.75, 0.25]])}
    table = written(tmp_path, [(labels, torch.zeros(1, 2))])
    assert table.columns.tolist() == [
        "index",
        "prediction_0",
        "prediction_1",
        "probability_0",
        "probability_1",
    ]


def test_top_classes_stay_in_one_row(tmp_path: Path) -> None:
    table = written(tmp_path, [({"prediction": torch.tensor([[1, 0], [2, 1]])}, torch.zeros(2, 2))])
    assert table.columns.tolist() == ["index", "prediction_0", "prediction_1"]
