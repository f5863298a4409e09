"""Splits with further parts, augmentation of inputs and target together, and batches that fit in memory."""

from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules.base import Split, TensorDataModule
from datamodules.spec import DataSpec
from datamodules.splits import rows_per_evaluation


class Masks(TensorDataModule):
    """Images whose mask is known from their pixels; the third part is the row's number."""

    task, in_shape, out_features = "multiclass", (1, 4, 6), 3

    def __init__(self, num_rows: int = 30, **kwargs: Any) -> None:
        super().__init__(**{"normalize": False, "batch_size": 8, **kwargs})
        self.num_rows = num_rows

    def load(self) -> dict[str, Split]:
        x = torch.rand(self.num_rows, 1, 4, 6, generator=torch.Generator().manual_seed(0))
        number = torch.arange(self.num_rows)
        return {"train": (x, mask_of(x), number), "val": (x, mask_of(x), number), "predict": (x, number)}

    def augment_parts(self, parts: Split) -> Split:
        x, mask, number = parts
        flip = torch.rand(len(x)) < 0.5
        return (
            x.where(~flip[:, None, None, None], x.flip(-1)),
            mask.where(~flip[:, None, None], mask.flip(-1)),
            number,
        )


def mask_of(x: Tensor) -> Tensor:
    return (x[:, 0] * 3).long()


@pytest.mark.parametrize("options", [{}, {"batch_size": None}])
def test_inputs_and_target_are_augmented_together(options: dict[str, Any]) -> None:
    data = Masks(**options)
    data.setup()
    originals, flipped = data.splits["train"][0].clone(), 0
    for x, mask, number in data.train_dataloader():
        assert torch.equal(mask, mask_of(x))
        flipped += sum(not torch.equal(row, before) for row, before in zip(x, originals[number], strict=True))
    assert 5 < flipped < 25
    assert torch.equal(data.splits["train"][0], originals)


def test_evaluation_is_not_augmented() -> None:
    data = Masks(eval_batch_size=7)
    data.setup()
    parts = [torch.cat(each) for each in zip(*data.val_dataloader(), strict=True)]
    assert all(torch.equal(part, source) for part, source in zip(parts, data.splits["val"], strict=True))


def test_further_parts_are_not_normalized() -> None:
    class Weighted(TensorDataModule):
        task, in_shape, out_features = "regression", (2,), 1

        def load(self) -> dict[str, Split]:
            x = 5 + 3 * torch.randn(20, 2)
            return {"train": (x, x.sum(1), x[:, 0])}

    data = Weighted(normalize_target=True, batch_size=None)
    data.setup()
    ((x, y, weight),) = data.train_dataloader()
    torch.testing.assert_close(x.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    assert y.mean().item() == pytest.approx(0, abs=1e-5)
    assert torch.equal(weight, data.splits["train"][2])


def test_parts_of_different_lengths_are_refused() -> None:
    class Cut(Masks):
        def load(self) -> dict[str, Split]:
            x, mask, number = super().load()["train"]
            return {"train": (x, mask, number[1:])}

    with pytest.raises(ValueError, match="the parts of the train split of Cut have 30, 30, 29 rows"):
        Cut().setup()


@pytest.mark.parametrize(
    ("x", "y", "task", "outputs", "rows"),
    [
        ((1, 28, 28), (), "multiclass", 10, 1024),
        ((1, 32, 32), (32, 32), "multiclass", 4, 1024),
        ((1, 512, 512), (512, 512), "multiclass", 1, 16),
        ((1, 512, 512), (512, 512), "multiclass", 21, 1),
        ((3, 224, 224), (), "multiclass", 1000, 27),
        ((1000,), (1000,), "multiclass", 50_000, 1),
        ((100,), (900,), "regression", 900, 1024),
        ((3, 512, 512), (), "regression", 1, 5),
    ],
)
def test_rows_of_an_evaluation(
    x: tuple[int, ...], y: tuple[int, ...], task: str, outputs: int, rows: int
) -> None:
    inputs, targets = torch.empty(2, *x, device="meta"), torch.empty(2, *y, device="meta")
    spec = DataSpec(task=task, in_shape=x, out_features=outputs)
    splits = {"train": (inputs, targets), "predict": (inputs, torch.arange(2))}
    assert rows_per_evaluation(splits, "train", spec) == rows
    assert rows_per_evaluation(splits, "predict", spec) == rows


def test_a_batch_of_an_evaluation_fits_in_memory_unless_it_is_told_otherwise() -> None:
    data = Masks(num_rows=1500)
    data.in_shape = (1, 4, 6)
    data.setup()
    assert [len(x) for x, _, _ in data.val_dataloader()] == [1024, 476]
    data.out_features = 350  # times 24 pixels
    del data.__dict__["spec"]
    assert len(next(iter(data.val_dataloader()))[0]) == 2**22 // (24 * 350)
    data.eval_batch_size = 1000
    assert len(next(iter(data.val_dataloader()))[0]) == 1000
