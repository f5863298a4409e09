"""The moving average of the weights from the command line: killed, resumed, evaluated, swept."""

import re
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import WeightAveraging

from cli import main
from cli.build import build
from cli.request import prepare
from cli.trust import MARK
from tests.cli.end_to_end.commands import assert_same_weights, weights

ROOT = Path(__file__).parents[2]
AVERAGE = ["--trainer.callbacks=EMAWeightAveraging", "--trainer.callbacks.decay=0.9"]
FIT = [
    *("fit", "--config", str(ROOT / "configs" / "circles.yaml"), "--trainer.accelerator=cpu"),
    *("--pictures=false", "--checkup=false", "--data.passes_per_epoch=1", "--data.batch_size=60"),
    *("--trainer.log_every_n_steps=1", "--trainer.max_epochs=3", "--save_every_n_steps=1"),
]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Kill(Callback):
    def __init__(self, batch: int) -> None:
        self.batches, self.last = 0, batch

    def on_train_batch_start(self, *args: Any) -> None:
        self.batches += 1
        if self.batches == self.last:
            raise RuntimeError("as if killed")


def checkpoint(folder: Path, name: str) -> dict[str, Any]:
    return torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)


@pytest.mark.parametrize("begin", [0, 6])
def test_a_killed_run_ends_with_the_same_average(begin: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed within the second epoch of four batches, before or after the average begins."""
    fit = [*FIT, *AVERAGE, f"--trainer.callbacks.update_starting_at_step={begin}"]
    assert main([*fit, "--run_name=whole"]) == 0
    with pytest.raises(RuntimeError, match="as if killed"):
        build(prepare([*fit, "--run_name=parts"]), callbacks=[Kill(7)]).fit()
    assert main(["fit", "--resume=runs/parts/version_0"]) == 0
    whole, parts = Path("runs/whole/version_0"), Path("runs/parts/version_0")
    for name in ("best", "last"):
        first, second = checkpoint(parts, name), checkpoint(whole, name)
        assert_same_weights(first["state_dict"], second["state_dict"])
        assert_same_weights(first["current_model_state"], second["current_model_state"])
        assert first["averaging_state"] == second["averaging_state"]
    pd.testing.assert_frame_equal(
        pd.read_csv(parts / "metrics.csv"), pd.read_csv(whole / "metrics.csv"), check_dtype=False
    )
    last = checkpoint(whole, "last")
    assert int(last["averaging_state"]["n_averaged"]) == 12 - begin
    assert not torch.equal(
        last["state_dict"]["layers.0.weight"], last["current_model_state"]["layers.0.weight"]
    )


def test_checkpoints_are_evaluated_with_the_average(capsys: pytest.CaptureFixture[str]) -> None:
    """Its loss is the one that validation measured for best.ckpt; nothing is warned of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*WeightAveraging")
        assert main([*FIT, *AVERAGE, "--run_name=mean"]) == 0
        run = Path("runs/mean/version_0")
        for command in ("validate", "test", "predict"):
            assert main([command, str(run)]) == 0
    output = capsys.readouterr()
    assert "WeightAveraging" not in output.out + output.err
    best = pd.read_csv(run / "metrics.csv")["val/loss"].min()
    measured = re.findall(r"val/loss +([\d.]+)", output.out)
    assert float(measured[-1]) == pytest.approx(best, rel=1e-3)
    assert len(pd.read_csv(run / "predictions.csv")) > 1

    config = run / "config.yaml"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith(MARK)))  # as if somebody else's
    assert main(["test", str(run)]) == 0


def test_the_training_itself_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--run_name=plain"]) == 0
    assert main([*FIT, *AVERAGE, "--run_name=mean"]) == 0
    mean = checkpoint(Path("runs/mean/version_0"), "last")
    assert_same_weights(mean["current_model_state"], weights(Path("runs/plain/version_0")))


def test_lightning_s_class_path_means_it_too_and_it_is_no_reason_to_fail_in_a_sweep(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mean.yaml").write_text(
        yaml.safe_dump(
            {
                "trainer": {
                    "callbacks": [
                        {
                            "class_path": "pytorch_lightning.callbacks.EMAWeightAveraging",
                            "init_args": {"decay": 0.9},
                        }
                    ]
                }
            }
        )
    )
    run = build(prepare([*FIT, "--config=mean.yaml", "--run_name=mean"]))
    assert [type(each).__module__ for each in run.trainer.callbacks if isinstance(each, WeightAveraging)] == [
        "runtime.averaging"
    ]
    vary = ["--vary", "model.optimizer.lr=0.01,0.1"]
    assert main(["sweep", *FIT[1:], "--config=mean.yaml", *vary]) == 0
    folders = sorted(Path("runs").rglob("last.ckpt"))
    assert len(folders) == 2
    assert all("averaging_state" in torch.load(path, weights_only=True) for path in folders)
