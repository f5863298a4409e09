"""Targets that a task does not know are named before the first step, and in batches from elsewhere."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from datamodules.base import Split, TensorDataModule
from lit_models import LitModel
from tests.lit_models.cases import make_trainer

OUTPUTS = {"binary": 1, "multiclass": 4, "multilabel": 3}


class OneOdd(TensorDataModule):
    """Rows of three numbers; the last target of one split is `odd`. Of several classes, each number has its own."""

    in_shape = (3,)

    def __init__(self, task: str, odd: float, split: str = "train", weigh: bool = False) -> None:
        super().__init__(normalize=False, batch_size=4)
        self.task, self.out_features = task, OUTPUTS[task]
        self.odd, self.split, self.weigh = odd, split, weigh

    def load(self) -> dict[str, Split]:
        splits = {}
        for name in ("train", "val"):
            y = torch.arange(24).reshape(8, 3) % 2
            y = y[:, 0] if self.task == "binary" else y
            y.view(-1)[-1] = self.odd if name == self.split else y.view(-1)[-1]
            splits[name] = (torch.randn(8, 3), y, *((torch.arange(8.0) < 7,) if self.weigh else ()))
        return splits


class Net(LitModel):
    """One class or label for each of three numbers, or one for all of them."""

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.layer = nn.Linear(3, 12 if self.out_features == 4 else self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).unflatten(1, (4, 3)) if self.out_features == 4 else self.layer(x)


def fit(folder: Path, data: OneOdd, **options: Any) -> None:
    model = Net(in_shape=[3], out_features=data.out_features, task=data.task, **options)
    make_trainer(folder, max_epochs=1).fit(model, data)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("weights", [None, "balanced", [1, 1, 2, 3]])
def test_pixels_that_were_to_be_ignored(split: str, weights: Any, tmp_path: Path) -> None:
    data = OneOdd("multiclass", 255, split)
    with pytest.raises(
        ValueError, match=f"the {split} split: .* contain 255, but .* 4 classes.* must be -100"
    ):
        fit(tmp_path, data, class_weights=weights)


@pytest.mark.parametrize(("task", "odd"), [("multiclass", -1), ("binary", 2), ("multilabel", -1)])
def test_other_values(task: str, odd: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"the train split: the targets contain {odd}, but"):
        fit(tmp_path, OneOdd(task, odd))


@pytest.mark.parametrize(
    "data", [OneOdd("multiclass", -100), OneOdd("binary", 1), OneOdd("binary", -1, weigh=True)]
)
def test_ignored_targets_are_allowed(data: OneOdd, tmp_path: Path) -> None:
    fit(tmp_path, data)


@pytest.mark.parametrize("weights", [None, [1, 1, 2, 3]])
def test_batches_from_elsewhere(weights: Any, tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(torch.randn(4, 3), torch.tensor([[0, 1, 255]] * 4)), batch_size=2)
    model = Net(in_shape=[3], out_features=4, task="multiclass", class_weights=weights)
    with pytest.raises(ValueError, match="the targets contain 255, but there are 4 classes"):
        make_trainer(tmp_path).fit(model, loader)
    with pytest.raises(ValueError, match="the targets contain 255, but there are 4 classes"):
        make_trainer(tmp_path).validate(model, loader, verbose=False)


class Distilled(TensorDataModule):
    """Classes, with the logits of a teacher as the third part."""

    task, in_shape, out_features = "multiclass", (3,), 4

    def load(self) -> dict[str, Split]:
        parts = torch.randn(8, 3), torch.arange(8) % 4, torch.randn(8, 4)
        return {"train": parts, "val": parts}


class Pupil(LitModel):
    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.layer = nn.Linear(3, 4)

    def unpack(self, batch: Any) -> tuple[tuple[Any, ...], Any, Tensor | None]:
        return (batch[0],), batch[1], None

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def test_a_third_part_that_is_no_weight_is_left_to_the_model(tmp_path: Path) -> None:
    model = Pupil(in_shape=[3], out_features=4, task="multiclass")
    make_trainer(tmp_path, max_epochs=1).fit(model, Distilled(batch_size=4))


def test_a_third_part_of_another_shape_is_no_weight(tmp_path: Path) -> None:
    class Naive(Pupil):
        unpack = LitModel.unpack

    model = Naive(in_shape=[3], out_features=4, task="multiclass")
    with pytest.raises(ValueError, match=r"\[8, 4\].*unpack"):
        make_trainer(tmp_path, max_epochs=1).fit(model, Distilled(batch_size=4))
