"""Runs that train together end where they would have ended alone; what cannot is refused, with the reason."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cli import main
from cli.sweep import build_trial
from lit_models import LitMLP
from sweeps.bulk import MAX_RUNS, why_not

ROOT = Path(__file__).parents[2]
QUIET = ["--trainer.accelerator=cpu", "--trainer.log_every_n_steps=5"]
MLP = ["--config", str(ROOT / "configs" / "circles.yaml"), *QUIET]
SHORT = ["--trainer.max_epochs=2", "--data.passes_per_epoch=4", "--diagnostics=false"]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")  # put back afterwards


def rows(name: str) -> dict[tuple[str, ...], dict[str, str]]:
    """Rows of runs.csv, by what varied and the seed."""
    with Path("runs", name, "runs.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    varied = [column for column in table[0] if column.startswith(("model.", "data."))]
    return {(*(row[column] for column in varied), row["seed"]): row for row in table}


def scalars(folder: str) -> dict[tuple[str, str], float]:
    """Everything in metrics.csv, by step and tag."""
    with Path(folder, "metrics.csv").open(newline="") as file:
        return {
            (row["step"], tag): float(value)
            for row in csv.DictReader(file)
            for tag, value in row.items()
            if tag != "step" and value
        }


def settings_of(folder: str) -> dict[str, object]:
    """config.yaml, without the name of the sweep."""
    settings: dict[str, object] = yaml.safe_load(Path(folder, "config.yaml").read_text(encoding="utf-8"))
    return {**settings, "run_name": None}


# Every kind of task, three of batches and of schedules; optimizers with and without a memory.
ADAM = "{class_path: Adam, init_args: {lr: 0.03, weight_decay: 0.1}}"
SGD = "{class_path: SGD, init_args: {lr: 0.1, momentum: 0.9}}"
DECAY = "{class_path: torch.optim.lr_scheduler.ExponentialLR, init_args: {gamma: 0.5}}"
CYCLE = "{class_path: OneCycleLR, init_args: {max_lr: 0.1}}"
CASES = {
    "binary": ["circles", "--vary", f"model.optimizer={ADAM},{SGD}", "--model.init=he"],
    "multiclass": ["blobs", "--model=LitLinear", "--vary", "model.optimizer.lr=0.1,0.001"],
    "regression": ["nonlinear_regression", "--vary", "model.init=he,default"],
    "cycles": ["circles", "--vary", "model.scheduler.max_lr=0.01,0.1", f"--model.scheduler={CYCLE}"],
    "reconstruction": [
        "mnist_autoencoder",
        "--data.num_val=40",
        "--vary",
        "model.scheduler.max_lr=0.01,0.001",
    ],
    "epochs": ["rings", "--data.num_samples=60", "--vary", f"model.scheduler={DECAY},null"],
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_as_alone(name: str, mnist_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    config, *words = CASES[name]
    if config.startswith("mnist"):
        words.append(f"--data.data_dir={mnist_dir}")
    command = ["sweep", "--config", str(ROOT / "configs" / f"{config}.yaml"), *SHORT, *QUIET, *words]
    assert main([*command, "--sweep.seeds=2", "--run_name=together"]) == 0
    assert "runs trained together" in capsys.readouterr().err
    assert main([*command, "--sweep.seeds=2", "--run_name=alone", "--sweep.bulk=false"]) == 0
    together, alone = rows("together"), rows("alone")
    assert together.keys() == alone.keys()
    assert len(together) >= 4
    for key, row in together.items():
        other = alone[key]
        assert math.isclose(float(row["score"]), float(other["score"]), rel_tol=1e-5)
        assert (row["epoch"], row["step"]) == (other["epoch"], other["step"])
        assert settings_of(row["folder"]) == settings_of(other["folder"])
        assert scalars(row["folder"]) == pytest.approx(scalars(other["folder"]), rel=1e-4, abs=1e-6)
        for checkpoint in ("best", "last"):
            mine, theirs = (
                torch.load(Path(each["folder"], "checkpoints", f"{checkpoint}.ckpt"), weights_only=True)
                for each in (row, other)
            )
            assert mine["state_dict"].keys() == theirs["state_dict"].keys()
            for weight, value in theirs["state_dict"].items():
                torch.testing.assert_close(mine["state_dict"][weight], value, rtol=1e-4, atol=1e-5)
            assert mine["global_step"] == theirs["global_step"]
            assert mine["hyper_parameters"] == theirs["hyper_parameters"]
            (data,) = (name for name in theirs if name.endswith("DataModule"))
            torch.testing.assert_close(mine[data], theirs[data])


def test_each_leaves_a_run_folder_that_can_be_evaluated_and_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sweep", *MLP, *SHORT, "--vary", "model.optimizer.lr=0.1,0.01", "--run_name=mine"]) == 0
    row = rows("mine")["0.01", "42"]
    assert list(Path(row["folder"]).glob("events.out.tfevents.*"))
    capsys.readouterr()
    assert main(["test", "--ckpt_path", f"{row['folder']}/checkpoints/best.ckpt"]) == 0
    assert f"{float(row['score']):.6f}" in capsys.readouterr().out  # the test split is the validation split
    assert main(["fit", "--config", f"{row['folder']}/config.yaml", "--run_name=again"]) == 0
    again = next(
        line.split()[-1] for line in capsys.readouterr().out.splitlines() if line.startswith("  val/loss")
    )
    assert float(again) == pytest.approx(float(row["score"]), rel=1e-4)
    assert main(["fit", "--resume", row["folder"]]) == 2
    assert "weights only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], None),
        (["--model=LitLinear"], None),
        (["--model.optimizer=RMSprop"], None),
        (["--model.optimizer=LBFGS"], "LBFGS does not step each weight for itself"),
        (
            ["--model.scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau"],
            "ReduceLROnPlateau follows each run's own metric",
        ),
        (["--model.dropout=0.1"], "model.dropout draws anew for each run"),
        (["--model.frozen=[layers.0.*]"], "the model has parameter groups or frozen parameters"),
        (["--model.pos_weight=balanced"], "model.pos_weight is balanced"),
        (["--model.compile=true"], "model.compile is set"),
        (["--monitor=train/loss"], "--monitor train/loss is not measured in validation"),
        (["--trainer.gradient_clip_val=1"], "trainer.gradient_clip_val is set"),
        (["--trainer.accumulate_grad_batches=2"], "trainer.accumulate_grad_batches is set"),
        (
            ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"],
            "trainer.callbacks is set",
        ),
        (["--trainer.precision=bf16-mixed"], "trainer.precision is set"),
        (
            ["--model=LitRNN", "--data=SeriesDataModule"],
            "LitRNN is none of LitLinear, LitMLP, LitAutoencoder",
        ),
    ],
)
def test_why_not(words: list[str], reason: str | None) -> None:
    run = build_trial([*MLP, *words], with_trainer=False)
    found = why_not(run.model, run.datamodule, run.settings)
    assert found == reason if reason is None else str(found).startswith(reason)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], None),
        (["--model.channels=[4,8]"], "this LitAutoencoder has convolutions, which are no faster together"),
        (["--model=LitConvNet"], "LitConvNet is none of LitLinear, LitMLP, LitAutoencoder"),
        (["--model=LitConvNet", "--model.batch_norm=true"], "LitConvNet is none of"),
        (['--data.augment={"shift": 2}'], "data.augment draws anew for each run"),
    ],
)
def test_why_not_with_images(words: list[str], reason: str | None, mnist_dir: str) -> None:
    config = ["--config", str(ROOT / "configs" / "mnist_autoencoder.yaml"), f"--data.data_dir={mnist_dir}"]
    run = build_trial([*config, "--data.num_val=40", *QUIET, *words], with_trainer=False)
    found = why_not(run.model, run.datamodule, run.settings)
    assert found == reason if reason is None else str(found).startswith(reason)


class OwnMLP(LitMLP):
    """A network of the user's, whose training may be another."""


def test_a_subclass_is_refused() -> None:
    run = build_trial(MLP, with_trainer=False)
    own = OwnMLP(in_shape=[2])
    assert str(why_not(own, run.datamodule, run.settings)).startswith("OwnMLP is none of")


def test_what_cannot_train_together_trains_alone_and_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--vary", "model.optimizer.lr=0.1,0.01", "--model.dropout=0.1", "--trainer.max_epochs=1"]
    assert main(["sweep", *MLP, *words]) == 0
    said = capsys.readouterr()
    assert "runs train one after the other: model.dropout draws anew for each run" in said.err
    assert "2 complete" in said.out


def test_a_setting_that_is_wrong_fails_and_the_others_train_together(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sweep", *MLP, *SHORT, "--vary", "model.optimizer.lr=0.1,-1,0.01", "--run_name=mine"]) == 0
    assert [row["state"] for row in rows("mine").values()] == ["complete", "failed", "complete"]
    assert rows("mine")["-1", "42"]["error"] == "ValueError: model.optimizer: Invalid learning rate: -1.0"
    assert rows("mine")["0.1", "42"]["together"] == "2.0"


def test_more_runs_than_train_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_RUNS == 64
    monkeypatch.setattr("sweeps.run_all.MAX_RUNS", 3)
    assert main(["sweep", *MLP, *SHORT, "--vary", "model.optimizer.lr=0.1,0.01", "--sweep.seeds=2"]) == 0
    said = capsys.readouterr()
    assert "3 runs trained together" in said.err
    assert "4 complete" in said.out


def test_a_run_that_diverges_does_not_touch_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--vary", "model.optimizer.lr=1e38,0.1", "--model.optimizer=SGD"]
    assert main(["sweep", *MLP, *SHORT, *words, "--run_name=both"]) == 0
    assert (
        main(["sweep", *MLP, *SHORT, *words[2:], "--vary", "model.optimizer.lr=0.1,0.2", "--run_name=fine"])
        == 0
    )
    assert rows("both")["1e38", "42"]["state"] == "failed"
    assert "val/loss is" in rows("both")["1e38", "42"]["error"]
    both, fine = rows("both")["0.1", "42"]["score"], rows("fine")["0.1", "42"]["score"]
    assert float(both) == pytest.approx(float(fine), rel=1e-6)


def test_what_fails_together_trains_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("vmap cannot do this")

    monkeypatch.setattr("sweeps.bulk.train_rows", fail)
    words = ["--vary", "model.optimizer.lr=0.1,-1,0.01", "--run_name=mine"]
    assert main(["sweep", *MLP, *SHORT, *words]) == 0
    assert "together they fail with RuntimeError: vmap cannot do this" in capsys.readouterr().err
    assert [row["state"] for row in rows("mine").values()] == ["complete", "failed", "complete"]
