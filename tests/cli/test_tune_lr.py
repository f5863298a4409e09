"""The command: what it prints, draws and refuses."""

from pathlib import Path

import pytest

from cli import main
from cli.sweep import build_trial
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
from pytorch_lightning.cli import OptimizerCallable
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

class Base(Net):
    def __init__(self, base_lr: float = 0.02, **kwargs):
        super().__init__(lr=base_lr, **kwargs)

class Either(Net):
    def __init__(self, encoder_lr: float = 0.02, head_lr: float = 0.02, **kwargs):
        super().__init__(lr=head_lr, **kwargs)

class Given(Net):
    def __init__(self, optimizer: OptimizerCallable = torch.optim.Adam, **kwargs):
        super().__init__(**kwargs)
        self.optimizer = optimizer

    def configure_optimizers(self):
        return self.optimizer(self.parameters())

class Scaled(Given):
    def configure_optimizers(self):
        optimizer = self.optimizer(self.parameters())
        optimizer.param_groups[0]["lr"] *= 2
        return optimizer

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


@pytest.mark.parametrize("model", ["Net", "Base", "Given"])
def test_the_command_that_is_printed_trains_with_the_suggestion(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also for modules from elsewhere, whose argument may have any name."""
    Path("nets_for_rates.py").write_text(MODULES)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    words = [f"--model=nets_for_rates.{model}", "--data=nets_for_rates.Data", "--trainer.accelerator=cpu"]
    assert main(["tune-lr", *words]) == 0
    printed = capsys.readouterr().out.splitlines()
    suggested = float(next(line.split()[1] for line in printed if line.startswith("  suggestion")))
    command = next(line.split("train.py fit ")[1] for line in printed if "train.py fit" in line)
    run = build_trial([*command.split(), "--trainer.max_steps=1"])
    run.fit()
    assert [group["lr"] for group in run.trainer.optimizers[0].param_groups] == [suggested]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("Fixed", ["no flag sets it", "set it where Fixed.configure_optimizers makes the optimizer"]),
        ("Either", ["no flag sets it", "set it where Either.configure_optimizers makes the optimizer"]),
        ("Scaled", ["no flag sets it", "set it where Scaled.configure_optimizers makes the optimizer"]),
        ("Groups", ["no flag sets them all", "multiply all by", "0.02 -> 0.", "0.002 -> 0.0"]),
    ],
)
def test_no_command_is_printed_where_no_flag_sets_the_rate(
    model: str, said: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two arguments that may be it, an optimizer whose rate is changed, several rates."""
    Path("nets_for_rates.py").write_text(MODULES)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    words = [f"--model=nets_for_rates.{model}", "--data=nets_for_rates.Data", "--trainer.accelerator=cpu"]
    assert main(["tune-lr", *words]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for part in said:
        assert part in printed
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
