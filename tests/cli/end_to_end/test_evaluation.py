"""`validate`, `test` and `predict` of a trained run."""

from pathlib import Path

import pandas as pd
import pytest

from cli import main
from tests.cli.end_to_end.commands import BEST, RUN, row, run


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
