"""Intervals in result.json for rows that depend on each other."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from runtime.result_file import EvaluationResult

ROWS = 400


class Zero(LightningModule):
    """Answers 0, or class 1, with two parameters that nobody trains."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.tensor([0.0, 0.1]))

    def test_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        (y,) = batch
        if y.is_floating_point():
            self.log("test/loss", F.mse_loss(0 * self.scores[0].expand_as(y), y))
            return
        self.log("test/loss", F.cross_entropy(self.scores.expand(len(y), 2), y))
        self.log("test/acc", (y == 1).float().mean())


class Data(LightningDataModule):
    """A test split without inputs."""

    def __init__(self, y: Tensor, in_time_order: bool = False, groups: np.ndarray | None = None) -> None:
        super().__init__()
        self.y, self.in_time_order = y, in_time_order
        self.row_groups = {} if groups is None else {"test": groups}

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(self.y), batch_size=50)


def metrics_of(data: Data, folder: Path) -> dict[str, dict[str, float]]:
    callback = EvaluationResult(folder, "test", None, 0, 0)
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    Trainer(accelerator="cpu", callbacks=[callback], **options).test(Zero(), data, verbose=False)
    return json.loads((folder / "result.json").read_text())["test"]["metrics"]


def half(figure: dict[str, float]) -> float:
    return (figure["high"] - figure["low"]) / 2


def windows(seed: int, horizon: int = 24) -> Tensor:
    """All windows of white noise (ROWS, horizon): two that overlap share most of their numbers."""
    noise = torch.from_numpy(np.random.default_rng(seed).normal(size=ROWS + horizon - 1)).float()
    return noise.unfold(0, horizon, 1)


def test_windows_that_overlap_have_a_wide_interval(tmp_path: Path) -> None:
    y = windows(0)
    narrow = half(metrics_of(Data(y), tmp_path)["loss"])
    wide = half(metrics_of(Data(y, in_time_order=True), tmp_path)["loss"])
    errors = y.square().mean(1).numpy()
    assert narrow == pytest.approx(1.96 * errors.std(ddof=1) / ROWS**0.5, rel=1e-3)
    means = [
        float(windows(seed).square().mean()) for seed in range(300)
    ]  # the truth: it varies as much from one test set to the next
    assert 0.9 < wide / (1.96 * np.std(means)) < 1.7
    assert wide > 2.5 * narrow


def test_rows_of_a_group_count_as_often_as_there_are_groups(tmp_path: Path) -> None:
    labels = torch.arange(40) % 3 > 0
    patients = np.repeat(np.arange(40), 10)
    grouped = metrics_of(Data(labels.long().repeat_interleave(10), groups=patients), tmp_path)
    single = metrics_of(Data(labels.long()), tmp_path)
    for name in ("loss", "acc"):
        assert grouped[name]["value"] == pytest.approx(single[name]["value"])
        assert half(grouped[name]) == pytest.approx(half(single[name]), rel=0.06)  # Student's factor for 39


def test_what_cannot_be_known_has_no_interval(tmp_path: Path) -> None:
    few = Data(windows(0)[:7], in_time_order=True)
    assert metrics_of(few, tmp_path)["loss"]["low"] is None
    found = metrics_of(Data(torch.arange(60) % 2, groups=np.arange(50)), tmp_path)  # of other rows
    assert found["loss"]["low"] is None
    assert found["acc"]["low"] is None
