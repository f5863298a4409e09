"""A flag that contradicts what a run is resumed from is applied, or refused with both values and what to do."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from cli import main
from cli.resume_checks import differences, moves_rows
from datamodules import LoaderDataModule, ToyDataModule

FOREIGN = '''
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.utils.data import DataLoader, TensorDataset, random_split


class Net(pl.LightningModule):
    def __init__(
        self, lr: float = 0.1, gamma: float = 0.9, by_length: bool = False, weight: float = 2.0, drop: float = 0.0
    ):
        super().__init__()
        self.lr, self.gamma, self.by_length, self.drop = lr, gamma, by_length, drop
        self.net = torch.nn.Linear(3, 1)
        self.register_buffer("weight", torch.tensor(weight))

    def training_step(self, batch, batch_idx):
        x = torch.nn.functional.dropout(batch[0], self.drop)
        return self.weight * self.net(x).square().mean()

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", float(self.current_epoch))  # gets worse and worse

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), self.lr)
        steps = int(self.trainer.estimated_stepping_batches) if self.by_length else 100
        schedules = torch.optim.lr_scheduler
        schedule = schedules.SequentialLR(
            optimizer,
            [schedules.ExponentialLR(optimizer, self.gamma), schedules.CosineAnnealingLR(optimizer, steps)],
            milestones=[2],
        )
        if self.by_length:
            schedule = schedules.CosineAnnealingLR(optimizer, steps)
        return [optimizer], [schedule]


class Data(pl.LightningDataModule):
    def __init__(self, batch_size: int = 8, split_seed: int = 0, noise: float = 0.0):
        super().__init__()
        self.batch_size, self.noise = batch_size, noise
        x = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
        halves = random_split(TensorDataset(x), [16, 8], torch.Generator().manual_seed(split_seed))
        self.train, self.val = halves

    def train_dataloader(self):
        return DataLoader(self.train, self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.val, 8)

    def state_dict(self):
        return {"noise": self.noise}

    def load_state_dict(self, state):
        self.noise = state["noise"]


class Counting(Callback):
    """Its factor is saved; its label is not."""

    def __init__(self, factor: float = 1.0, label: str = "a"):
        self.factor, self.label = factor, label

    def state_dict(self):
        return {"factor": self.factor}

    def load_state_dict(self, state):
        self.factor = state["factor"]
'''
QUIET = (
    "--trainer.accelerator cpu --pictures false --diagnostics false --checkup false "
    "--trainer.enable_progress_bar false --trainer.enable_model_summary false"
)
FIT = f"fit --model foreign_net.Net --data foreign_net.Data --run_name net --trainer.max_epochs 3 {QUIET}".split()
CALLBACKS = [
    "--trainer.callbacks+=foreign_net.Counting",
    "--trainer.callbacks+=EarlyStopping",
    "--trainer.callbacks.monitor=val/loss",
    "--trainer.callbacks.patience=2",
]
RUN = Path("runs/net/version_0")
LAST = RUN / "checkpoints/last.ckpt"
MORE = ["fit", "--resume", str(RUN), "--trainer.max_epochs=4"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "foreign_net", raising=False)
    Path("foreign_net.py").write_text(FOREIGN)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_has_no_effect_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, *CALLBACKS]) == 0
    before = contents(RUN)
    for flags, words in {
        "--model.lr=0.5": ["lr of SGD would be 0.5 now, but 0.1", "model.lr 0.5 (it was 0.1)"],
        "--model.gamma=0.5": ["model.gamma 0.5 (it was 0.9)", "SequentialLR"],
        "--model.weight=3": ["buffer weight would be 3.0 now, but 2.0", "model.weight 3.0 (it was 2.0)"],
        "--seed_everything=7": ["--seed_everything is 7, and 42", "random numbers continue"],
        "--data.split_seed=1": ["--data.split_seed is 1, and 0", "could become validation rows"],
        "--data.noise=0.5": ["--data.noise is 0.5, and 0.0", "the checkpoint holds"],
        "--run_name=other": ["--run_name is other, and net", "stays in its folder"],
        "--monitor=val/other": ["--monitor is val/other, and val/loss"],
        "--trainer.callbacks=[{class_path: foreign_net.Counting, init_args: {factor: 2}}]": [
            "--trainer.callbacks.Counting.factor is 2.0, and 1.0",
            "gets its state from the checkpoint",
        ],
    }.items():
        assert main([*MORE, flags]) == 2, flags
        error = capsys.readouterr().err
        for word in [*words, "train anew"]:
            assert word in error, (flags, error)
        assert contents(RUN) == before, flags
    assert [path.name for path in Path("runs").iterdir()] == ["net"]


def test_what_has_an_effect_is_applied() -> None:
    assert main([*FIT, *CALLBACKS]) == 0
    flags = ["--model.drop=0.5", "--data.batch_size=4", "--trainer.log_every_n_steps=1"]
    assert main([*MORE, *flags]) == 0
    config = yaml.safe_load((RUN / "config.yaml").read_text())
    assert config["model"]["init_args"]["drop"] == 0.5
    assert torch.load(LAST, weights_only=True)["global_step"] == 3 * 2 + 4


def test_a_larger_patience_is_applied(capsys: pytest.CaptureFixture[str]) -> None:
    """The validation gets worse from the first epoch on: with a patience of 2 the third is the last."""
    assert main([*FIT, *CALLBACKS, "--trainer.max_epochs=9"]) == 0
    assert torch.load(LAST, weights_only=True)["epoch"] == 3
    assert main(["fit", "--resume", str(RUN)]) == 0
    assert torch.load(LAST, weights_only=True)["epoch"] == 3
    capsys.readouterr()
    assert main(["fit", "--resume", str(RUN), "--trainer.callbacks.patience=4"]) == 0
    assert torch.load(LAST, weights_only=True)["epoch"] == 5
    end = json.loads((RUN / "end.json").read_text())
    assert (end["reason"], end["limits"]["patience"]) == ("EarlyStopping", 4)
    assert "the last 4 records" in end["words"]
    assert pd.read_csv(RUN / "metrics.csv")["val/loss"].dropna().tolist() == [0, 1, 2, 3, 4]


def test_a_smaller_patience_is_applied() -> None:
    callbacks = [*CALLBACKS[:-1], "--trainer.callbacks.patience=9"]
    assert main([*FIT, *callbacks]) == 0
    assert main([*MORE, "--trainer.max_epochs=9", "--trainer.callbacks.patience=4"]) == 0
    assert torch.load(LAST, weights_only=True)["epoch"] == 5


def test_a_schedule_that_was_made_for_another_length_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--model.by_length=true"]) == 0
    assert main([*MORE, "--trainer.max_epochs=6"]) == 2
    error = capsys.readouterr().err
    assert "T_max of CosineAnnealingLR would be 12 now, but 6" in error
    assert "trainer.max_epochs 6 (it was 3)" in error


def test_another_source_of_the_module_is_reported() -> None:
    """No flag is to blame, so the run is resumed."""
    import sys

    assert main(FIT) == 0
    Path("foreign_net.py").write_text(
        FOREIGN.replace("SGD(self.parameters(), self.lr)", "SGD(self.parameters(), 0.7)")
    )
    del sys.modules["foreign_net"]
    with pytest.warns(UserWarning, match=r"lr of SGD would be 0.7 now, but 0.1 is restored"):
        assert main(MORE) == 0
    assert torch.load(LAST, weights_only=True)["epoch"] == 4


def test_a_new_run_from_a_checkpoint_knows_the_old_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(FIT) == 0
    anew = [*FIT, f"--ckpt_path={LAST}", "--trainer.max_epochs=4"]
    for flag, word in {
        "--model.lr=0.5": "lr of SGD would be 0.5 now",
        "--seed_everything=7": "--seed_everything is 7",
    }.items():
        assert main([*anew, flag]) == 2
        assert word in capsys.readouterr().err
    assert main([*anew, "--run_name=second", "--data.split_seed=1"]) == 0  # other data are its own business
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]


def test_the_restored_scale_of_our_data_and_initial_weights(capsys: pytest.CaptureFixture[str]) -> None:
    words = f"fit --model LitMLP --data ToyDataModule --run_name net --trainer.max_epochs 1 {QUIET}".split()
    assert main(words) == 0
    for flag, reason in {
        "--data.normalize=false": "the checkpoint holds what it decided",
        "--data.split_seed=3": "could become validation rows",
        "--data.num_samples=200": "could become validation rows",
        "--model.init=he": "the weights are those of the checkpoint",
        "--model.init_gain=2": "the weights are those of the checkpoint",
    }.items():
        assert main([*MORE, flag]) == 2, flag
        assert reason in capsys.readouterr().err
    assert main([*MORE, "--data.batch_size=32", "--model.label_smoothing=0"]) == 0


@pytest.mark.parametrize(
    ("then", "now", "found"),
    [
        (
            {"a": {"class_path": "x.A", "init_args": {"b": 1}}},
            {"a": {"class_path": "x.A", "init_args": {"b": 2}}},
            "a.b",
        ),
        ({"a": {"class_path": "x.A"}}, {"a": {"class_path": "x.B"}}, "a"),
        ({"a": None}, {"a": {"class_path": "x.B"}}, "a"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "a"),
        ({"a": 1}, {"a": 1, "b": 2}, None),
        (
            {"c": [{"class_path": "x.A", "init_args": {"p": 1}}, {"class_path": "x.B"}]},
            {"c": [{"class_path": "x.B"}, {"class_path": "x.A", "init_args": {"p": 2}}]},
            "c.A.p",
        ),
    ],
)
def test_differences_are_named_like_flags(then: Any, now: Any, found: str | None) -> None:
    assert [name for name, _ in differences(then, now)] == ([found] if found else [])


@pytest.mark.parametrize("data", [LoaderDataModule(), ToyDataModule()])
@pytest.mark.parametrize(
    ("option", "moves"),
    [("batch_size", False), ("eval_batch_size", False), ("split_seed", True), ("val_fraction", True)],
)
def test_options_that_decide_which_rows_are_trained_on(data: Any, option: str, moves: bool) -> None:
    assert moves_rows(data, option) is moves
