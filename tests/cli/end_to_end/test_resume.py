"""`fit --resume` ends where a run that was never stopped ends."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cli import main
from lit_models import LitMLP
from tests.cli.end_to_end.commands import FIT, RUN, assert_same_weights, row, run, weights
from tests.processes import run as run_elsewhere


@pytest.mark.usefixtures("table")
def test_resume_ends_where_an_uninterrupted_run_ends(capsys: pytest.CaptureFixture[str]) -> None:
    run([*FIT, "--run_name", "whole", "--trainer.max_epochs", "4"], capsys)
    run([*FIT, "--run_name", "parts"], capsys)
    parts, whole = Path("runs/parts/version_0"), Path("runs/whole/version_0")
    first_half = pd.read_csv(parts / "metrics.csv")
    table = run(["fit", "--resume", str(parts), "--trainer.max_epochs", "4"], capsys)

    assert row(table, "run folder") == str(parts)
    assert [path.name for path in Path("runs/parts").iterdir()] == ["version_0"]
    assert_same_weights(weights(parts), weights(whole))
    metrics = pd.read_csv(parts / "metrics.csv")
    pd.testing.assert_frame_equal(metrics[: len(first_half)], first_half, check_dtype=False)
    pd.testing.assert_frame_equal(metrics, pd.read_csv(whole / "metrics.csv"), check_dtype=False)
    assert yaml.safe_load((parts / "config.yaml").read_text())["ckpt_path"] is None


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    "words",
    [
        "--model.optimizer SGD",
        "--model.optimizer.lr 0.5",
        "--trainer.max_epoch 9",
        "--trainer.strategy ddp_nope",
        "--trainer.limit_train_batches -1",
        "--ckpt_path other.ckpt",
    ],
)
def test_a_wrong_flag_leaves_a_run_as_it_was(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file()}
    assert main(["fit", "--resume", str(RUN), *words.split(), "--trainer.max_epochs", "4"]) == 2
    assert {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("table")
def test_a_rehearsal_leaves_a_run_as_it_was() -> None:
    """With fast_dev_run Lightning trains one epoch, which this run has had: it refuses."""
    before = {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file()}
    words = ["--trainer.fast_dev_run", "true", "--trainer.max_epochs", "4"]
    assert main(["fit", "--resume", str(RUN), *words]) != 0
    assert {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("table")
def test_a_damaged_last_checkpoint_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    """The run is resumed from the best one and ends as it would have."""
    shutil.copytree(RUN, "runs/torn/version_0")
    last = Path("runs/torn/version_0/checkpoints/last.ckpt")
    last.write_bytes(last.read_bytes()[:-1000])
    with pytest.warns(UserWarning, match=f"passed over: {last} is damaged"):
        assert main(["fit", "--resume", "runs/torn/version_0", "--trainer.max_epochs", "4"]) == 0
    assert main([*FIT, "--run_name", "untorn", "--trainer.max_epochs", "4"]) == 0
    assert_same_weights(weights(Path("runs/torn/version_0")), weights(Path("runs/untorn/version_0")))


@pytest.mark.parametrize("flags", [[], ["--trainer.max_epochs", "1"], ["--trainer.max_steps", "3"]])
def test_a_finished_run_is_left_as_it_is(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("runs/finished").exists():
        run([*FIT, "--run_name", "finished"], capsys)
    before = {path: path.stat().st_mtime_ns for path in Path("runs/finished").rglob("*")}
    printed = run(["fit", "--resume", "runs/finished/version_0", *flags], capsys)
    assert "runs/finished/version_0 is finished: 2 epochs, 24 steps" in printed
    assert {path: path.stat().st_mtime_ns for path in Path("runs/finished").rglob("*")} == before


@pytest.mark.usefixtures("table")
def test_a_run_in_training_is_not_resumed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither are its files touched; a new run and a resumed one hold their folder while they train."""
    refused: list[str] = []

    def resume_from_elsewhere(model: LitMLP) -> None:
        folder = max(Path("runs/alive").iterdir())
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        done = run_elsewhere(["fit", "--resume", str(folder), "--trainer.max_epochs=9"], Path())
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        refused.append(done.err)
        assert done.code == 2

    run([*FIT, "--run_name", "alive", "--trainer.max_epochs=1"], capsys)
    with monkeypatch.context() as patch:
        patch.setattr(LitMLP, "on_train_end", resume_from_elsewhere)
        run(["fit", "--resume", "runs/alive/version_0", "--trainer.max_epochs=2"], capsys)
        run([*FIT, "--run_name", "alive", "--trainer.max_epochs=1"], capsys)
    assert len(refused) == 2
    assert all(f"is in use by process {os.getpid()} on " in error for error in refused)
