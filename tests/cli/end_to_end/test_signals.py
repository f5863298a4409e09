"""Ctrl-C and SIGTERM, wherever they come: what is saved, and what is said."""

import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cli import main
from lit_models import LitMLP
from tests.cli.end_to_end.commands import BEST, FIT, run
from tests.processes import Forked, train_py


def assert_it_goes_on(folder: Path, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the command, and one more epoch follows where the last checkpoint ends."""
    assert f"train.py fit --resume {folder}" in complaint
    assert "Traceback" not in complaint
    last = folder / "checkpoints/last.ckpt"
    before = torch.load(last, weights_only=True)
    run(["fit", "--resume", str(folder), "--trainer.max_epochs", str(before["epoch"] + 2)], capsys)
    assert torch.load(last, weights_only=True)["global_step"] > before["global_step"]
    assert pd.read_csv(folder / "metrics.csv")["step"].is_monotonic_increasing


def test_sigterm_saves_and_says_how_to_go_on(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("runs/terminated/version_0")
    words = ["--run_name", "terminated", "--trainer.max_epochs", "100000"]
    process = Forked(train_py, *FIT, *words, folder=workplace)
    deadline = time.monotonic() + 60
    while not (folder / "checkpoints/last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 143
    assert_it_goes_on(folder, error, capsys)


def test_ctrl_c_saves_and_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_ctrl_c(model: LitMLP) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(LitMLP, "on_train_epoch_start", press_ctrl_c)
        assert main([*FIT, "--run_name", "pressed", "--checkup=false"]) == 130  # which calls the hook, too
    folder = Path("runs/pressed/version_0")
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 1
    assert_it_goes_on(folder, capsys.readouterr().err, capsys)


@pytest.mark.parametrize("epoch", [1, 2])
def test_ctrl_c_in_validation_loses_nothing(
    epoch: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The validation is finished; the checkpoint is that of the epoch's end, be it the last one."""

    def press_ctrl_c(model: LitMLP) -> None:
        if model.global_step == 12 * epoch:
            os.kill(os.getpid(), signal.SIGINT)

    folder = Path(f"runs/validating_{epoch}/version_0")
    with monkeypatch.context() as patch:
        patch.setattr(LitMLP, "on_validation_epoch_start", press_ctrl_c)
        assert main([*FIT, "--run_name", folder.parent.name]) == 130
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 12 * epoch
    assert_it_goes_on(folder, capsys.readouterr().err, capsys)
    metrics = pd.read_csv(folder / "metrics.csv")
    steps = 12 * (epoch + 2)
    assert metrics["train/loss"].notna().sum() == steps
    assert metrics["val/loss"].notna().sum() == epoch + 2
    events = EventAccumulator(str(folder), purge_orphaned_data=True)
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(steps))
    assert len(events.Scalars("val/loss")) == epoch + 2


def test_ctrl_c_before_anything_is_saved(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the check of the validation loop that precedes the training."""

    def press_ctrl_c(model: LitMLP) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(LitMLP, "on_validation_epoch_start", press_ctrl_c)
    assert main([*FIT, "--run_name", "early"]) == 130
    assert "before the first checkpoint; start the run anew" in capsys.readouterr().err


@pytest.mark.usefixtures("table")
def test_ctrl_c_in_a_test(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def press_ctrl_c(model: LitMLP) -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(LitMLP, "on_test_epoch_start", press_ctrl_c)
    try:
        assert main(["test", "--ckpt_path", BEST]) == 130
    finally:
        signal.signal(signal.SIGINT, handler)  # Lightning ignores it from then on


@pytest.mark.usefixtures("table")
def test_sigterm_in_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def terminate(model: LitMLP) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(LitMLP, "on_test_epoch_start", terminate)
    assert main(["test", "--ckpt_path", BEST, "--data.eval_batch_size", "10"]) == 143
