"""Two processes on the CPU compute what one does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from cli import main
from runtime.result_file import read_result

CALLBACK = """
import torch
from pytorch_lightning import Callback

class KeepWeights(Callback):
    def on_fit_end(self, trainer, pl_module):
        torch.save(pl_module.state_dict(), f"rank_{trainer.global_rank}.pt")
"""
# Data and module from elsewhere; the module waits for the other process in each batch, because it has a batch norm.
COUNTING = """
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

class Counts(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))

    def training_step(self, batch):
        return self.net(batch).mean()

    def validation_step(self, batch):
        self.log("val/loss", self.net(batch).mean(), sync_dist=True)
        self.log("val/rows", float(len(batch)), reduce_fx="sum", sync_dist=True)
        self.log("val/sum", batch.sum(), reduce_fx="sum", sync_dist=True)
        self.log("val/own_share", batch.mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

class Rows(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(torch.randn(20, 1), batch_size=5)

    def val_dataloader(self):
        return DataLoader(torch.arange(21.0)[:, None], batch_size=5)
"""
# The launcher starts this file a second time, for the other rank; both run the commands one after the other.
DRIVER = """
import sys

from cli import main

for line in {lines!r}:
    if code := main(line.split()):
        sys.exit(code)
"""
ONE = Path("runs/one/version_0")
TWO = Path("runs/two/version_0")
LAST = "checkpoints/last.ckpt"
ROOT = Path(__file__).parents[1]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def printed_metrics(printed: str) -> dict[str, float]:
    """What a closing table says of the test split."""
    lines = [line.split() for line in printed.splitlines() if line.startswith("  test/")]
    return {name.removeprefix("test/"): float(value) for name, value in lines}


def test_two_processes_do_what_one_does(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fit with half the batch per process, then predict with the weights of the other run."""
    monkeypatch.chdir(workplace)
    monkeypatch.syspath_prepend(str(workplace))
    Path("keep_weights.py").write_text(CALLBACK)
    fit = "fit --config quick.yaml --run_name"
    predict = f"predict --ckpt_path {ONE / LAST}"
    assert main(f"{fit} one".split()) == 0
    by_two = "--trainer.strategy ddp --trainer.devices 2"
    keep = "--pictures true --data.batch_size 32 --trainer.callbacks+=keep_weights.KeepWeights"
    test = f"test --ckpt_path {TWO / LAST}"
    uneven = "--data.eval_batch_size 16"  # of the 179 rows, the processes get 10 and 9 at last
    Path("counting.py").write_text(COUNTING)
    count = (
        f"fit --model counting.Counts --data counting.Rows --run_name rows {by_two} --trainer.accelerator cpu"
    )
    count += " --trainer.max_epochs 1 --pictures false --checkup false"
    lines = [f"{fit} two {by_two} {keep}", f"{predict} {by_two}", f"{test} {by_two} {uneven}", count]
    Path("driver.py").write_text(DRIVER.format(lines=lines))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{workplace}"}
    for name in ("LIGHTNING_INSIDE_RUN", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)  # left by other tests
    command = [sys.executable, "driver.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr

    # Both ranks end with the same weights, and these are those of one process.
    ranks = [torch.load(f"rank_{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(ranks[0][name], ranks[1][name]) for name in ranks[0])
    one, two = weights(ONE / LAST), weights(TWO / LAST)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)

    # The first process draws while the other trains on.
    assert len(list((TWO / "pictures").glob("fit_plane_*.png"))) == 3

    # Validation and test see each of the 179 rows of the fold once: what two processes say, one says too.
    measured = read_result(TWO)
    assert measured["validation"]["rows"] == measured["test"]["rows"] == 179
    assert read_result(Path("runs/rows/version_0"))["validation"]["rows"] == 21
    capsys.readouterr()
    assert main([*test.split(), "--trainer.devices", "1"]) == 0
    by_one, by_both = (printed_metrics(text) for text in (capsys.readouterr().out, done.stdout))
    alone = read_result(TWO)["test"]["metrics"]["accuracy"]
    by_both_processes = measured["test"]["metrics"]["accuracy"]
    assert (alone["low"], alone["high"]) == (by_both_processes["low"], by_both_processes["high"])
    validated = pd.read_csv(TWO / "metrics.csv").dropna(subset="val/loss").iloc[-1]
    assert {"loss", "accuracy"} <= by_one.keys()
    for name, value in by_one.items():
        assert by_both[name] == pytest.approx(value, abs=2e-6)
        assert validated[f"val/{name}"] == pytest.approx(value, abs=2e-6)

    # So does the validation of a data module from elsewhere: of 21 rows, the processes get 11 and 10.
    counted = pd.read_csv("runs/rows/version_0/metrics.csv").dropna(subset="val/rows").iloc[-1]
    assert (counted["val/rows"], counted["val/sum"]) == (21, sum(range(21)))

    # Lightning advises `sync_dist=True` for that which each process has of its own, not for the results of metrics.
    advised = re.findall(r"recommended to use `self.log\('(.+?)', ..., sync_dist=True", done.stderr)
    assert advised == ["val/own_share"]

    # One folder, and in the predictions each passenger once, as one process writes them.
    assert [path.name for path in TWO.parent.iterdir()] == ["version_0"]
    predictions = pd.read_csv(ONE / "predictions.csv")
    assert predictions["PassengerId"].tolist() == list(range(892, 1310))
    assert main(predict.split()) == 0
    pd.testing.assert_frame_equal(predictions, pd.read_csv(ONE / "predictions.csv"))
