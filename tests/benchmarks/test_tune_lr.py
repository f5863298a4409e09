"""The rules of other libraries, against Lightning's own code and curves made by hand; and how failures are counted."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.tuner import Tuner
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.rate_rules import LIBRARIES, RANGES, curve, minimum, slide, steep, valley
from benchmarks.tune_lr import OURS, Measured, learned, table
from cli.range_test import RangeTest


class Line(pl.LightningModule):
    """A regression whose loss is noisy."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.lr = nn.Linear(3, 1), 0.1

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        (x,) = batch
        return ((self.layer(x) - x.sum(1, keepdim=True)) ** 2).mean()

    def configure_optimizers(self) -> Optimizer:
        return SGD(self.parameters(), lr=self.lr)


def trained(model: pl.LightningModule, *callbacks: pl.Callback) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        callbacks=list(callbacks),
        max_epochs=-1,
        max_steps=100,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )


def test_lightnings_rule_suggests_what_lightning_suggests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x = torch.randn(960, 3, generator=torch.Generator().manual_seed(0))
    batches = DataLoader(TensorDataset(x), batch_size=8)
    torch.manual_seed(0)
    model = Line()
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    theirs = Tuner(trained(model)).lr_find(model, batches, update_attr=False)
    assert theirs is not None
    model.load_state_dict(start)
    test = RangeTest(*RANGES["lightning"], stops=False)
    trained(model, test).fit(model, batches)
    ours = LIBRARIES["Lightning"][1](*curve(test.rates, test.losses))
    assert ours == pytest.approx(theirs.suggestion(), rel=0.5)  # its rates are shifted by up to two steps


def test_fastais_rules_on_a_curve_made_by_hand() -> None:
    rates = np.geomspace(1e-7, 10, 100)
    losses = 1 / (1 + (rates / 1e-2) ** 2) + (rates / 0.5) ** 3
    least = rates[np.argmin(losses)]
    assert minimum(rates, losses) == pytest.approx(least / 10)
    assert steep(rates, losses) == pytest.approx(
        1e-2, rel=0.3
    )  # where the sigmoid is steepest on a logarithmic axis
    middle = np.sqrt(rates[0] * least)
    assert valley(rates, losses) == pytest.approx(middle, rel=0.5)  # halfway along the fall
    assert slide(rates, losses) < rates[-16]


def test_both_libraries_stop_at_four_times_the_lowest_loss() -> None:
    rates, smoothed = curve([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 500.0, 1.0])
    assert len(rates) == len(smoothed) == 3


def test_a_failure_is_less_than_nine_tenths_of_what_the_best_rate_learns() -> None:
    reached = {"1e-06": 1.0, "0.01": 0.2, "0.1": 0.0, "1.0": float("nan")}
    flat = [np.geomspace(1e-6, 10, 200).tolist(), [1.0] * 200]
    measured: Measured = {"reached": {"0": reached}, "curves": {"ours": {"0": flat}}}
    assert learned(measured, "0", 0.12) == 1.0
    assert learned(measured, "0", 0.008) == pytest.approx(0.8)
    assert learned(measured, "0", 2.0) == learned(measured, "0", np.nan) == -np.inf
    for kind in RANGES:
        measured["curves"][kind] = {"0": flat}
    lines = table({"blobs": measured})
    assert lines[2].startswith(f"| {OURS} | nan: 1 of 1")
    assert len(lines) == 3 + len(LIBRARIES)
