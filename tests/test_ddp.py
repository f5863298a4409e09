"""Two processes on the CPU compute what one does."""

import subprocess
from collections.abc import Callable
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
ONE = Path("runs/one/version_0")
TWO = Path("runs/two/version_0")
LAST = "checkpoints/last.ckpt"
TWO_PROCESSES = ["--trainer.strategy", "ddp", "--trainer.devices", "2"]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_two_processes_do_what_one_does(
    workplace: Path,
    start_train_py: Callable[..., "subprocess.Popen[str]"],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Fit with half the batch per process, and predict; both launches run at once to save time."""
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("PYTHONPATH", str(workplace))
    monkeypatch.delenv("LIGHTNING_INSIDE_RUN", raising=False)
    Path("keep_weights.py").write_text(CALLBACK)
    fit = ["fit", "--config", "quick.yaml"]
    assert main([*fit, "--run_name", "one"]) == 0
    monkeypatch.delenv("LIGHTNING_INSIDE_RUN", raising=False)
    predict = ["predict", "--ckpt_path", str(ONE / LAST)]
    fit_two = [*fit, "--run_name", "two", "--data.batch_size", "32", *TWO_PROCESSES]
    fit_two += ["--trainer.callbacks+=keep_weights.KeepWeights"]
    launches = [
        start_train_py(workplace, *fit_two),
        start_train_py(workplace, *predict, *TWO_PROCESSES),
    ]
    for launch in launches:
        error = launch.communicate(timeout=100)[1]
        assert launch.returncode == 0, error

    # Both ranks end with the same weights, and these are those of one process.
    ranks = [torch.load(f"rank_{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(ranks[0][name], ranks[1][name]) for name in ranks[0])
    one, two = weights(ONE / LAST), weights(TWO / LAST)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)

    # Validation sees each of the 179 rows of the fold once: what two processes say of their weights, one says too.
    names = ["val/loss", "val/accuracy"]
    measured = pd.read_csv(TWO / "metrics.csv")[names].dropna().iloc[-1]
    capsys.readouterr()
    assert main(["test", "--ckpt_path", str(TWO / LAST), *["--trainer.devices", "1"]]) == 0
    tested = dict(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  test/"))
    for name in names:
        expected = measured[name]
        assert float(tested[name.replace("val", "test")]) == pytest.approx(expected, abs=2e-6)

    # One folder, and in the predictions each passenger once, as one process writes them.
    assert [path.name for path in TWO.parent.iterdir()] == ["version_0"]
    by_two = pd.read_csv(ONE / "predictions.csv")
    assert by_two["PassengerId"].tolist() == list(range(892, 1310))
    assert main(predict) == 0
    pd.testing.assert_frame_equal(by_two, pd.read_csv(ONE / "predictions.csv"))
