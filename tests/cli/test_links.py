"""What a model requires and no setting gives is taken from the data module."""

from pathlib import Path

import pytest
import yaml

from cli import main
from cli.build import build
from cli.request import prepare

MODULES = """
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset


class Data(pl.LightningDataModule):
    def __init__(self, size: int = 7):
        super().__init__()
        self.vocab_size = size
        self.width = 99

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.arange(8) % 7, torch.zeros(8)), batch_size=4)

    def val_dataloader(self):
        return self.train_dataloader()

    def test_dataloader(self):
        return self.train_dataloader()


class Model(pl.LightningModule):
    def __init__(self, vocab_size: int, width: int = 3, lr: float = 0.1):
        super().__init__()
        self.save_hyperparameters()
        self.table = torch.nn.Embedding(vocab_size, width)
        self.lr = lr

    def training_step(self, batch, batch_idx):
        return (self.table(batch[0]).sum(1) - batch[1]).square().mean()

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.training_step(batch, batch_idx))

    def test_step(self, batch, batch_idx):
        self.log("test/loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr)


class Other(Model):
    def __init__(self, num_nodes: int):
        super().__init__(num_nodes)
"""
FIT = ["fit", "--model=tokens.Model", "--data=tokens.Data", "--trainer.max_epochs=1", "--checkup=false"]
FIT += [
    "--trainer.enable_progress_bar=false",
    "--pictures=false",
    "--trainer.accelerator=cpu",
    "--run_name=own",
]
RUN = Path("runs/own/version_0")


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("tokens.py").write_text(MODULES)


def table_of(*words: str) -> tuple[int, ...]:
    return tuple(build(prepare([*FIT, *words]), with_trainer=False).model.table.weight.shape)


def test_a_required_argument_is_the_data_modules_attribute() -> None:
    """An argument with a default is not: it may mean something else there."""
    assert table_of() == (7, 3)
    assert table_of("--data.size=9") == (9, 3)


@pytest.mark.parametrize("flag", ["--model.vocab_size=12", "--model.init_args.vocab_size=12"])
def test_a_given_value_counts(flag: str) -> None:
    assert table_of(flag) == (12, 3)


def test_a_value_in_a_config_counts() -> None:
    model = {"class_path": "tokens.Model", "init_args": {"vocab_size": 12}}
    Path("own.yaml").write_text(yaml.safe_dump({"model": model}))
    assert table_of("--config=own.yaml") == (12, 3)


def test_the_run_is_tested_resumed_and_swept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--data.size=9"]) == 0
    assert main(["test", f"--ckpt_path={RUN}"]) == 0
    assert main(["fit", f"--resume={RUN}", "--trainer.max_epochs=2"]) == 0
    assert main(["sweep", *FIT[1:-1], "--vary", "model.lr=0.01,0.1"]) == 0
    named = [*FIT[1:-1], "--run_name=sizes"]
    assert main(["sweep", *named, "--vary", "model.vocab_size=8,9"]) == 0
    assert "best setting" in capsys.readouterr().out


def test_what_the_data_do_not_have_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--model=tokens.Other", *FIT[2:]]) == 2
    message = "model.num_nodes has no value, and Data no attribute of that name that could be it"
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_without_data_the_argument_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([FIT[0], FIT[1], *FIT[3:]]) == 2
    assert "vocab_size" in capsys.readouterr().err
