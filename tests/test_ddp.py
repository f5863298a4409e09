"""Two processes on the CPU compute what one does."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from cli import main

CALLBACK = """
import torch
from pytorch_lightning import Callback

class KeepWeights(Callback):
    def on_fit_end(self, trainer, pl_module):
        torch.save(pl_module.state_dict(), f"rank_{trainer.global_rank}.pt")
"""
# The launcher starts this file a second time, for the other rank; both run the two commands one after the other.
DRIVER = """
import sys

from cli import main

for line in ({fit!r}, {predict!r}):
    if code := main(line.split()):
        sys.exit(code)
"""
ONE = Path("runs/one/version_0")
TWO = Path("runs/two/version_0")
LAST = "checkpoints/last.ckpt"
ROOT = Path(__file__).parents[1]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_two_processes_do_what_one_does(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fit with half the batch per process, then predict with the weights of the other run."""
    monkeypatch.chdir(workplace)
    monkeypatch.syspath_prepend(str(workplace))
    Path("keep_weights.py").write_text(CALLBACK)
    fit = "fit --config quick.yaml --run_name"
    predict = f"predict --ckpt_path {ONE / LAST}"
    assert main(f"{fit} one".split()) == 0
    by_two = "--trainer.strategy ddp --trainer.devices 2"
    keep = "--pictures true --data.batch_size 32 --trainer.callbacks+=keep_weights.KeepWeights"
    Path("driver.py").write_text(
        DRIVER.format(fit=f"{fit} two {by_two} {keep}", predict=f"{predict} {by_two}")
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{workplace}"}
    environment.pop("LIGHTNING_INSIDE_RUN", None)
    command = [sys.executable, "driver.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr

    # Both ranks end with the same weights, and these are those of one process.
    ranks = [torch.load(f"rank_{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(ranks[0][name], ranks[1][name]) for name in ranks[0])
    one, two = weights(ONE / LAST), weights(TWO / LAST)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)

    # The first process draws while the other trains on.
    assert len(list((TWO / "pictures").glob("fit_plane_*.png"))) == 3

    # Validation sees each of the 179 rows of the fold once: what two processes say of their weights, one says too.
    names = ["val/loss", "val/accuracy"]
    measured = pd.read_csv(TWO / "metrics.csv")[names].dropna().iloc[-1]
    capsys.readouterr()
    assert main(["test", "--ckpt_path", str(TWO / LAST), "--trainer.devices", "1"]) == 0
    tested = dict(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  test/"))
    for name in names:
        expected = measured[name]
        assert float(tested[name.replace("val", "test")]) == pytest.approx(expected, abs=2e-6)

    # One folder, and in the predictions each passenger once, as one process writes them.
    assert [path.name for path in TWO.parent.iterdir()] == ["version_0"]
    predictions = pd.read_csv(ONE / "predictions.csv")
    assert predictions["PassengerId"].tolist() == list(range(892, 1310))
    assert main(predict.split()) == 0
    pd.testing.assert_frame_equal(predictions, pd.read_csv(ONE / "predictions.csv"))
