"""A run says why it ended; resuming it does nothing, unless it has something to make up for or may train on."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback

from benchmarks.equality import difference
from cli import main
from cli.build import build
from cli.request import prepare
from runtime.end_record import recorded_end
from tests.cli.end_to_end.commands import FIT, run

STOPPING = [
    "--trainer.callbacks+=EarlyStopping",
    "--trainer.callbacks.monitor=val/loss",
    "--trainer.callbacks.min_delta=10",
    "--trainer.callbacks.patience=2",
]
WAYS = {
    "max_epochs": ["--trainer.max_epochs=2"],
    "max_steps": ["--trainer.max_steps=15", "--trainer.max_epochs=-1"],
    "EarlyStopping": [*STOPPING, "--trainer.max_epochs=9"],
    "max_time": ["--trainer.max_time=00:00:00:01", "--trainer.max_epochs=99999"],
}


class KilledError(BaseException):
    """Stands for a kill: nothing is written after it."""


class Kill(Callback):
    """Kills the training in one hook."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self.kill)

    def kill(self, *args: Any) -> None:
        raise KilledError


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("reason", WAYS)
def test_a_run_that_ended_is_left_as_it_is(reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(f"runs/{reason}/version_0")
    run([*FIT, f"--run_name={reason}", *WAYS[reason]], capsys)
    end = recorded_end(folder)
    assert end is not None
    assert end.reason == reason
    before = contents(folder)
    for smaller in ([], ["--trainer.max_epochs=1"] if reason == "max_epochs" else []):
        printed = run(["fit", "--resume", str(folder), *smaller], capsys)
        assert f"is finished: {end.epochs} epochs, {end.steps} steps; {end.words}" in printed
        assert contents(folder) == before


@pytest.mark.parametrize("reason", ["max_epochs", "max_steps", "EarlyStopping"])
def test_a_run_killed_at_its_end_makes_up_for_it(reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed after its last checkpoint, in a callback that comes before Diagnosis writes its file."""
    whole, killed = (Path(f"runs/{reason}_{name}/version_0") for name in ("whole", "killed"))
    run([*FIT, f"--run_name={reason}_whole", *WAYS[reason]], capsys)
    words = [*FIT, f"--run_name={reason}_killed", *WAYS[reason]]
    fit = build(prepare(words), callbacks=[Kill("on_train_end")])
    with pytest.raises(KilledError):
        fit.fit()
    assert recorded_end(killed) is None
    (killed / "diagnosis.json").unlink(missing_ok=True)
    run(["fit", "--resume", str(killed)], capsys)
    assert difference(whole, killed) == ""
    assert recorded_end(killed) == recorded_end(whole)
    found, expected = (json.loads((each / "diagnosis.json").read_text()) for each in (killed, whole))
    assert found["looks"] == expected["looks"] > 0
    assert found["verdicts"] == expected["verdicts"]


@pytest.mark.parametrize("reason", ["max_epochs", "EarlyStopping"])
def test_a_larger_limit_trains_on(reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(f"runs/more_{reason}/version_0")
    run([*FIT, f"--run_name=more_{reason}", *WAYS[reason]], capsys)
    before = recorded_end(folder)
    run(["fit", "--resume", str(folder), "--trainer.max_epochs=12"], capsys)
    after = recorded_end(folder)
    assert before is not None
    assert after is not None
    assert after.epochs > before.epochs
    assert after.limits["max_epochs"] == 12
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == after.steps


def test_without_its_last_checkpoint_a_run_that_ended_gets_it_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The full disk, or the kill, came when last.ckpt was written for the last time."""
    run([*FIT, "--run_name=lost"], capsys)
    folder = Path("runs/lost/version_0")
    (folder / "end.json").unlink()
    (folder / "checkpoints/last.ckpt").write_bytes(b"")
    with pytest.warns(UserWarning, match="best checkpoint to resume from"):
        assert main(["fit", "--resume", str(folder)]) == 0
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 24
    assert recorded_end(folder) is not None


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    for text in ("", "{", "[]", "{}", '{"reason": 1}'):
        (tmp_path / "end.json").write_text(text)
        assert recorded_end(tmp_path) is None
