"""A module with metric names of its own: the right epoch is kept, and its metrics are everywhere that ours are."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from cli import main
from tests.cli.end_to_end.commands import newest, row, run

U = """
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

class Net(pl.LightningModule):
    def __init__(self, prefix: str = "val_", loaders: int = 1):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        self.log("train_loss", loss := self.net(batch[0]).square().mean())
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        loss = self.net(batch[0]).square().mean()
        self.log_dict({self.hparams.prefix + "loss": loss, self.hparams.prefix + "rmse": loss.sqrt(), "elbo": -loss})

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=4)

    def val_dataloader(self):
        return [self.train_dataloader() for _ in range(self.hparams.loaders)]
"""
FIT = "fit --model u.Net --run_name own --pictures false --checkup false --trainer.max_epochs 3 --trainer.accelerator cpu"
QUIET = (
    " --trainer.enable_progress_bar false --trainer.enable_model_summary false --trainer.log_every_n_steps 1"
)
WORDS = (FIT + QUIET).split()


@pytest.fixture(autouse=True)
def _next_to_train_py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("u.py").write_text(U)


@pytest.mark.parametrize(
    ("words", "monitor"),
    [
        ([], "val_loss"),
        ([], "val_rmse"),
        (["--model.loaders=2"], "val_loss/dataloader_idx_0"),
        (["--model.prefix=valid/"], "valid/rmse"),
        (["--monitor_mode=max"], "elbo"),
    ],
)
def test_the_last_of_a_falling_loss_is_the_best(
    words: list[str], monitor: str, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run([*WORDS, *words, "--monitor", monitor], capsys)
    best = torch.load(newest("own") / "checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] == 2
    side = "largest" if monitor == "elbo" else "smallest"
    assert f"own: best by {monitor}, the {side}: {row(printed, monitor)}\n" in printed
    (state,) = (each for each in best["callbacks"].values() if "best_metrics" in each)
    assert monitor in state["best_metrics"]
    assert "train_loss" not in state["best_metrics"]


def test_a_direction_that_is_not_certain_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--monitor=elbo"]) == 2
    assert "add --monitor_mode min or --monitor_mode max" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_two_validation_loaders_number_the_metric(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--model.loaders=2", "--monitor=val_loss"]) == 2
    assert "take one of val_loss/dataloader_idx_0, val_loss/dataloader_idx_1" in capsys.readouterr().err


def test_a_sweep_scores_a_metric_of_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in WORDS[1:] if word not in ("--run_name", "own")]
    words += ["--monitor=val_loss", "--run_name=many", "--vary", "trainer.max_epochs=1,3"]
    assert main(["sweep", *words]) == 0
    (table,) = Path("runs/many").glob("*runs*.csv")
    runs = pd.read_csv(table)
    assert runs["state"].tolist() == ["complete"] * 2
    assert runs["score"].tolist() == runs["val_loss"].tolist()
    assert runs["score"][1] < runs["score"][0]


def test_a_metric_of_the_training_is_remembered_if_it_is_the_one_that_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed = run([*WORDS, "--monitor=train_loss"], capsys)
    assert float(row(printed, "train_loss")) >= 0
    assert float(row(printed, "val_loss")) >= 0
