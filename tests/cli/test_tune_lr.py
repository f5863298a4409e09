"""The command: what it prints, draws and refuses."""

from pathlib import Path

import pytest

from cli import main
from cli.tune_lr import draw
from tests.cli.parabola import PARABOLA


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_only_a_picture_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune-lr", *PARABOLA, "--low", "1e-3", "--steps=40"]) == 0
    said = capsys.readouterr().out
    assert [str(path) for path in Path().rglob("*") if path.is_file()] == [
        "runs/tune_lr/linear_regression.png"
    ]
    assert Path("runs/tune_lr/linear_regression.png").stat().st_size > 5000
    (command,) = (line.split("train.py ")[1] for line in said.splitlines() if "train with it" in line)
    assert "--model.optimizer.lr 0." in command
    assert main([*command.split(), "--trainer.max_epochs=1"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--low", "1", "--high", "0.1"], "0 < low < high"),
        (["--low=x"], "--low is x; it must be a number"),
        (["--steps", "5"], "at least 20 steps"),
        (["--steps", "nan"], "at least 20 steps"),
        (["--resume", "runs/x/version_0"], "--resume does not go with tune-lr"),
        (["--ckpt_path=last.ckpt"], "--ckpt_path does not go with tune-lr"),
        (["--model.optimizer=LBFGS"], "tune-lr does not suit LBFGS"),
        (["--model.optimizer=Rprop"], "tune-lr does not suit Rprop"),
        (["--low", "10", "--high", "100"], "the loss never falls in this range"),
        (["--model.nothere=1"], "there is no option 'nothere'"),
        (["--trainer.devices=2"], "tune-lr is one process"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune-lr", *PARABOLA, *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


MODULES = """
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

class Net(pl.LightningModule):
    def __init__(self, lr: float = 0.02, in_shape=(), out_features=1, task="", target_mean=0.0, target_std=1.0):
        super().__init__()
        self.lr, self.layer = lr, nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return nn.functional.mse_loss(self.layer(x), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)

class Fixed(Net):
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.5)

class Groups(Net):
    def configure_optimizers(self):
        groups = [{"params": [self.layer.weight]}, {"params": [self.layer.bias], "lr": self.lr / 10}]
        return torch.optim.Adam(groups, lr=self.lr)

class Two(Net):
    def configure_optimizers(self):
        return [torch.optim.Adam(self.parameters()), torch.optim.Adam(self.parameters())]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.automatic_optimization = False

class Data(pl.LightningDataModule):
    def train_dataloader(self):
        x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=16)
"""


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("Net", ["--model.lr 0.", "--vary model.lr=0."]),
        ("Fixed", ["set it where Fixed.configure_optimizers makes the optimizer"]),
        ("Groups", ["highest of their rates; multiply all by", "0.02 -> 0.", "0.002 -> 0.0"]),
    ],
)
def test_the_flag_that_is_printed_exists(
    model: str, said: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For modules from elsewhere, whose optimizer may have no flag or several rates."""
    Path("nets_for_rates.py").write_text(MODULES)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    words = [f"--model=nets_for_rates.{model}", "--data=nets_for_rates.Data", "--trainer.accelerator=cpu"]
    assert main(["tune-lr", *words]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for part in said:
        assert part in printed
    if model != "Net":
        assert "train.py" not in printed


def test_one_optimizer_is_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("nets_for_rates.py").write_text(MODULES)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    assert main(["tune-lr", "--model=nets_for_rates.Two", "--data=nets_for_rates.Data"]) == 2
    assert "tune-lr needs a model with one optimizer, not 2" in capsys.readouterr().err


def test_callbacks_that_need_what_is_switched_off_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    callbacks = [
        "--trainer.callbacks+=EarlyStopping",
        "--trainer.callbacks.monitor=val/loss",
        "--trainer.callbacks+=LearningRateMonitor",
    ]
    assert main(["tune-lr", *PARABOLA, "--low=1e-3", "--steps=40", *callbacks]) == 0
    assert "suggestion" in capsys.readouterr().out


def test_a_loss_that_is_lowest_at_the_end_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune-lr", *PARABOLA, "--low=1e-3", "--high=0.5", "--steps=40"]) == 0
    printed = capsys.readouterr().out
    assert "lowest at the end of the range; try --high 5" in printed
    assert "suggestion     0.05" in printed


def test_the_picture_shows_the_losses_on_a_logarithmic_axis() -> None:
    axes = draw([0.01, 0.1, 1.0], [3.0, 2.0, 5.0], 0.1).axes[0]
    raw, smoothed, mark = axes.get_lines()
    assert raw.get_xydata().tolist() == [[0.01, 3.0], [0.1, 2.0], [1.0, 5.0]]
    assert smoothed.get_ydata()[0] == pytest.approx(3.0)
    assert set(mark.get_xdata()) == {0.1}
    assert axes.get_xscale() == "log"
