"""`train.py check`: what it prints, its exit code, and that it leaves nothing behind."""

from pathlib import Path

import pytest

from cli import main

MISTAKEN = """\
import pytorch_lightning as pl
import torch
from torch import nn


class Mistaken(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Flatten(), nn.Linear(2, 8), nn.ReLU()), nn.Linear(8, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        probabilities = self.head(self.body(x)).softmax(1)
        return nn.functional.cross_entropy(probabilities, y.long())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
"""


@pytest.fixture(autouse=True)
def _in_the_workplace(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workplace / "mistaken.py").write_text(MISTAKEN)
    monkeypatch.chdir(workplace)
    monkeypatch.syspath_prepend(workplace)


FOREIGN = """\
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, SequentialSampler, TensorDataset, WeightedRandomSampler


class Rows(pl.LightningDataModule):
    task, in_shape, out_features = "binary", (2,), 1

    def __init__(self, shuffled: bool):
        super().__init__()
        self.rows = TensorDataset(torch.randn(400, 2), torch.arange(400) % 2)
        self.sampler = WeightedRandomSampler([1.0] * 400, 400) if shuffled else SequentialSampler(self.rows)

    def train_dataloader(self):
        return DataLoader(self.rows, 16, sampler=self.sampler)
"""


@pytest.mark.parametrize("shuffled", [True, False])
def test_an_order_that_is_replayed_is_not_taken_for_a_fixed_one(
    shuffled: bool, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "rows.py").write_text(FOREIGN)
    words = [
        "--model=LitLinear",
        "--data=rows.Rows",
        f"--data.shuffled={shuffled}",
        "--trainer.accelerator=cpu",
    ]
    assert main(["check", *words, "--monitor=train/loss"]) == 0
    assert ("same order every epoch" in capsys.readouterr().out) is not shuffled


def test_a_sound_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path().rglob("*"))
    assert main(["check", "--config", "quick.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "In order:\n" in printed
    assert "the optimizer has every parameter that the loss reaches" in printed
    assert "FAIL" not in printed
    assert "WARN" not in printed
    assert [path for path in sorted(Path().rglob("*")) if "__pycache__" not in path.parts] == before


def test_a_mistake_makes_it_fail(capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", "TitanicDataModule", "--data.features", "[male, Age]", "--trainer.accelerator=cpu"]
    assert main(["check", "--model", "mistaken.Mistaken", *data]) == 1
    assert "FAIL  softmax before cross-entropy" in capsys.readouterr().out


def test_fit_checks_first_unless_told_not_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "quick.yaml"]) == 0
    assert "Check-up, " in capsys.readouterr().out
    assert main(["fit", "--config", "quick.yaml", "--checkup", "false"]) == 0
    assert "Check-up" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs --config"),
        (["--config", "absent.yaml"], "absent.yaml does not exist"),
        (["--config", "quick.yaml", "--checkups", "false"], "did you mean '--checkup'"),
        (["--resume", "runs/quick/version_0"], "leave out --resume"),
        (["--config", "quick.yaml", "--ckpt_path", "x.ckpt"], "leave out --resume and --ckpt_path"),
    ],
)
def test_wrong_words(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 2
    assert message in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--help"]) == 0
    assert "python train.py check --config" in capsys.readouterr().out
