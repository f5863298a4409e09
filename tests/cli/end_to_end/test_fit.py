"""What a training prints and leaves behind, and that all of it can be repeated."""

from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cli import main
from tests.cli.end_to_end.commands import (
    BEST,
    FIT,
    OWN_MODEL,
    RUN,
    assert_same_weights,
    newest,
    row,
    run,
    weights,
)


@pytest.mark.usefixtures("table")
def test_fit_leaves_what_it_promises() -> None:
    names = {str(path.relative_to(RUN)) for path in RUN.rglob("*") if path.is_file()}
    assert {"config.yaml", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)


@pytest.mark.usefixtures("table")
def test_tensorboard_has_the_tags() -> None:
    events = EventAccumulator(str(RUN))
    events.Reload()
    assert {"train/loss", "val/loss", "val/accuracy"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("train/loss")) == 24  # 2 epochs of 12 steps
    assert len(events.Scalars("val/loss")) == 2


@pytest.mark.usefixtures("table")
def test_metrics_csv_has_the_same_figures() -> None:
    metrics = pd.read_csv(RUN / "metrics.csv")
    assert metrics["train/loss"].notna().sum() == 24
    assert metrics["val/loss"].notna().sum() == 2


def test_the_closing_table_has_the_commands_that_go_on(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    best = pd.read_csv(RUN / "metrics.csv")["val/loss"].min()
    assert float(row(table, "val/loss")) == pytest.approx(best, abs=1e-6)
    assert row(table, "run folder") == str(RUN)
    assert row(table, "look inside") == "tensorboard --logdir runs"
    command = row(table, "test it")
    assert command == f"python train.py test --ckpt_path {BEST}"
    tested = run(command.split()[2:], capsys)  # the held-out fold is both validation and test split
    assert row(tested, "test/loss") == row(table, "val/loss")
    assert row(tested, "test/accuracy") == row(table, "val/accuracy")


@pytest.mark.usefixtures("table")
def test_the_saved_config_repeats_the_run() -> None:
    assert main(["fit", "--config", str(RUN / "config.yaml")]) == 0
    assert newest("quick") != RUN
    assert_same_weights(weights(newest("quick")), weights(RUN))


@pytest.mark.usefixtures("table")
def test_another_seed_gives_other_weights() -> None:
    assert main([*FIT, "--seed_everything", "1", "--run_name", "seed_1"]) == 0
    first = next(name for name in weights(RUN) if name.endswith("weight"))
    assert not torch.equal(weights(Path("runs/seed_1/version_0"))[first], weights(RUN)[first])


def test_short_names_and_flags(capsys: pytest.CaptureFixture[str]) -> None:
    words = "fit --model LitMLP --model.hidden_sizes [3] --data TitanicDataModule --data.features [male]"
    words += (
        " --model.optimizer SGD --model.optimizer.lr 0.5 --trainer.max_epochs 1 --trainer.accelerator cpu"
    )
    run(words.split(), capsys)
    config = yaml.safe_load(Path("runs/LitMLP/version_0/config.yaml").read_text())
    assert config["model"]["init_args"]["hidden_sizes"] == [3]
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.5
    assert weights(Path("runs/LitMLP/version_0"))["layers.0.weight"].shape == (3, 1)


def test_one_cycle_by_flag(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--run_name cycle --model.scheduler OneCycleLR --model.optimizer.lr 0.1"
    run([*FIT, *words.split()], capsys)
    checkpoint = torch.load("runs/cycle/version_0/checkpoints/last.ckpt", weights_only=True)
    (schedule,), (optimizer,) = checkpoint["lr_schedulers"], checkpoint["optimizer_states"]
    assert (schedule["total_steps"], schedule["last_epoch"]) == (24, 24)
    assert optimizer["param_groups"][0]["max_lr"] == 0.1


def test_print_config_trains_nothing_and_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    config = yaml.safe_load(run([*FIT, "--run_name", "none", "--print_config"], capsys))
    assert config["model"]["class_path"] == "lit_models.LitMLP"
    assert config["seed_everything"] == 42
    assert not Path("runs/none").exists()


def test_a_model_of_ones_own(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what Lightning asks of a module: no hyper-parameters, no argument that the data dictate."""
    Path("own_model.py").write_text(OWN_MODEL)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    table = run([*FIT, "--run_name", "own", "--model", "own_model.Tiny", "--model.lr", "0.3"], capsys)
    checkpoint = "runs/own/version_0/checkpoints/best.ckpt"
    evaluated = run(["validate", "--ckpt_path", checkpoint], capsys)
    assert row(evaluated, "val/loss") == row(table, "val/loss")
    run(["predict", "--ckpt_path", checkpoint], capsys)
    predictions = pd.read_csv("runs/own/version_0/predictions.csv")
    assert len(predictions) == 418
    assert predictions["prediction"].between(0, 1).all()


def test_a_callback_with_a_default_that_yaml_cannot_write(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--trainer.callbacks+=Timer", "--trainer.callbacks.duration", "00:00:01:00"]
    run([*FIT, "--run_name", "timed", *flags], capsys)
    config = yaml.safe_load(Path("runs/timed/version_0/config.yaml").read_text())
    (timer,) = config["trainer"]["callbacks"]
    assert timer["init_args"]["interval"] == "step"
    assert main(["fit", "--config", "runs/timed/version_0/config.yaml"]) == 0


def test_without_a_validation_the_last_checkpoint_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    table = run([*FIT, "--run_name", "unvalidated", "--trainer.limit_val_batches", "0"], capsys)
    assert "unvalidated: nothing was validated" in table
    command = "python train.py test --ckpt_path runs/unvalidated/version_0/checkpoints/last.ckpt"
    assert row(table, "test it") == command
    run(command.split()[2:], capsys)
