"""`validate`, `test` and `predict` of a trained run."""

from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cli import main
from cli.build import build
from cli.request import prepare
from runtime.tables import number
from tests.cli.end_to_end.commands import BEST, FIT, RUN, row, run


@pytest.mark.usefixtures("table")
def test_predict_writes_one_row_per_passenger(capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(["predict", "--ckpt_path", BEST], capsys)
    assert row(printed, "predictions") == str(RUN / "predictions.csv")
    predictions = pd.read_csv(RUN / "predictions.csv")
    assert list(predictions.columns) == ["PassengerId", "prediction", "probability"]
    assert predictions["PassengerId"].tolist() == list(range(892, 1310))
    assert ((predictions["probability"] > 0.5) == (predictions["prediction"] == 1)).all()


@pytest.mark.usefixtures("table")
def test_an_older_submission_is_not_named_again(capsys: pytest.CaptureFixture[str]) -> None:
    run(["predict", "--ckpt_path", BEST], capsys)
    Path("nameless.csv").write_text("Sex,Age\nmale,22\n")
    assert "submission" not in run(["predict", "--ckpt_path", BEST, "--data.csv", "nameless.csv"], capsys)


@pytest.mark.usefixtures("table")
def test_labels_that_are_missing_are_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("unlabeled.csv").write_text("Sex,Age\nmale,22\n")
    assert main(["test", "--ckpt_path", BEST, "--data.csv", "unlabeled.csv"]) == 2
    assert "data.csv cannot be evaluated, only predicted: unlabeled.csv" in capsys.readouterr().err


@pytest.mark.usefixtures("table")
def test_evaluation_starts_no_new_run(capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path("runs/quick").iterdir())
    run(["validate", "--ckpt_path", BEST], capsys)
    assert sorted(Path("runs/quick").iterdir()) == before


OWN_WRITER = """
from pytorch_lightning.callbacks import BasePredictionWriter

class Writer(BasePredictionWriter):
    def __init__(self):
        super().__init__("batch_and_epoch")

    def write_on_batch_end(self, *args):
        print("wrote a batch")

    def write_on_epoch_end(self, *args):
        print("wrote all")
"""


def test_a_writer_of_ones_own_takes_the_place_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("writer_of_mine.py").write_text(OWN_WRITER)
    words = ["predict", "--model=LitLinear", "--data=TitanicDataModule", "--ckpt_path=null"]
    printed = run([*words, "--trainer.accelerator=cpu", "--trainer.callbacks+=writer_of_mine.Writer"], capsys)
    assert "wrote a batch" in printed
    assert "wrote all" in printed
    assert not list(Path("runs").rglob("predictions.csv"))


def test_a_run_is_validated_and_tested_after_its_training_in_python(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The figures are those of the command with the last checkpoint, and stand next to those of the training."""
    trained = build(prepare([*FIT, "--run_name=again"]))
    trained.fit()
    last_step = trained.trainer.global_step
    for method in (trained.validate, trained.test):
        method()
    printed = run(["test", "--ckpt_path", str(trained.folder / "checkpoints/last.ckpt")], capsys)
    table = pd.read_csv(trained.folder / "metrics.csv")
    (tested,) = table["test/loss"].dropna().head(1)
    assert row(printed, "test/loss") == number(float(trained.trainer.callback_metrics["test/loss"]))
    assert row(printed, "test/loss") == number(tested)
    curves = EventAccumulator(str(trained.folder)).Reload()
    assert curves.Scalars("test/loss")[0].step == last_step
    assert len(curves.Scalars("train/loss")) == len(table["train/loss"].dropna())
