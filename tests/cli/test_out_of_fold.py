"""Predictions out of fold: against runs evaluated one by one, and against scikit-learn on the same folds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from cli import main
from datamodules import TitanicDataModule
from datamodules.base import Split, TensorDataModule
from datamodules.folds import fold_rows

ROOT = Path(__file__).parents[2]
LOGISTIC = "--model LitLinear --data TitanicDataModule --data.features [male,Age,Fare] --data.batch_size null"
LOGISTIC += (
    " --data.passes_per_epoch 100 --model.optimizer Adam --model.optimizer.lr 0.03 --trainer.max_epochs 3"
)
QUIET = "--trainer.accelerator cpu --diagnostics false --trainer.enable_progress_bar false"
FOLDS = "--replicate data.fold=0,1,2,3,4"


class Rows(TensorDataModule):
    """Twenty rows in two folds, with ids if wanted; the option `fold` can be made to do nothing."""

    task, in_shape, out_features = "regression", (2,), 1

    def __init__(
        self, *, fold: int = 0, with_ids: bool = False, ignores_fold: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.fold, self.with_ids, self.ignores_fold = fold, with_ids, ignores_fold

    def load(self) -> dict[str, Split]:
        x = torch.arange(40.0).reshape(20, 2)
        rows = fold_rows(len(x), 2, 0 if self.ignores_fold else self.fold)
        if self.with_ids:
            self.row_ids = {"val": rows["val"]}
        return {name: (x[chosen], x[chosen].sum(1)) for name, chosen in rows.items()}


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")


def sweep(words: str) -> None:
    assert main(["sweep", *words.split(), *QUIET.split()]) == 0


def pooled(printed: str) -> dict[str, str]:
    """The table that is printed last."""
    lines = printed[printed.index("out of fold:") :].splitlines()[1:]
    return dict(line.split(maxsplit=1) for line in lines if line.startswith("  "))


def test_each_row_is_predicted_by_the_network_that_was_not_trained_on_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep(f"{LOGISTIC} {FOLDS} --run_name cv")
    printed = capsys.readouterr().out
    table = pd.read_csv("runs/cv/out_of_fold.csv")
    assert list(table) == ["id", "fold", "truth", "prediction", "probability"]
    assert sorted(table["id"]) == list(range(1, 892))
    data = TitanicDataModule(features=["male", "Age", "Fare"])
    data.setup("fit")
    x, y, ids = data._labeled(ROOT / "datamodules/files/train.csv")
    order = table.set_index("id").loc[ids.tolist()]
    assert order["truth"].tolist() == y.tolist()
    # scikit-learn's logistic regression, on the same folds and the same inputs
    filled = np.where(np.isnan(x.numpy()), np.nanmedian(x.numpy(), axis=0), x.numpy())
    scaled = (filled - filled.mean(0)) / filled.std(0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = LogisticRegression(C=np.inf)
    expected = cross_val_predict(model, scaled, y.numpy(), cv=folds, method="predict_proba")[:, 1]
    assert np.abs(order["probability"] - expected).mean() < 0.01
    agreement = (order["prediction"].to_numpy() == (expected > 0.5)).mean()
    assert agreement > 0.99
    # the pooled metrics are those of the table
    said = pooled(printed)
    assert float(said["accuracy"]) == pytest.approx((table["truth"] == table["prediction"]).mean(), abs=1e-6)
    assert float(said["loss"]) == pytest.approx(log_loss(table["truth"], table["probability"]), abs=1e-5)
    assert said["rows"] == "891"
    about = json.loads(Path("runs/cv/sweep.json").read_text())
    assert about["out_of_fold"]["rows"] == 891
    assert "out_of_fold.csv has the predictions of all 891 rows" in Path("runs/cv/report.html").read_text()
    deviation = pd.read_csv("runs/cv/runs.csv")["score"].std()
    assert about["standard_error"] == pytest.approx(deviation * np.sqrt(1 / 5 + 1 / 4))
    assert "folds share training rows" in printed


def test_of_several_settings_the_best_is_predicted_with_every_seed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = "--vary model.optimizer.lr=0.03,0.0 --replicate data.fold=0,1 --data.num_folds 2 --sweep.seeds 2"
    sweep(f"{LOGISTIC} {words} --run_name cv")
    table = pd.read_csv("runs/cv/out_of_fold.csv")
    assert list(table) == ["id", "fold", "truth", "prediction", "probability", "seed"]
    assert table.groupby("seed")["id"].nunique().to_dict() == {42: 891, 43: 891}
    assert len(table) == 2 * 891
    assert (table["truth"] == table["prediction"]).mean() > 0.7  # not the untrained setting


def test_data_without_ids_and_folds_that_are_none(
    capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    model = (
        "--model LitLinear --data tests.cli.test_out_of_fold.Rows --trainer.max_epochs 1 --sweep.bulk false"
    )
    sweep(f"{model} --replicate data.fold=0,1 --run_name places")
    table = pd.read_csv("runs/places/out_of_fold.csv")
    assert list(table) == ["row", "fold", "truth", "prediction"]
    assert table["row"].tolist() == [*range(10), *range(10)]
    sweep(f"{model} --data.with_ids true --replicate data.fold=0,1 --run_name ids")
    assert sorted(pd.read_csv("runs/ids/out_of_fold.csv")["id"]) == list(range(20))
    sweep(f"{model} --data.with_ids true --data.ignores_fold true --replicate data.fold=0,1 --run_name same")
    assert any("10 rows are held out by more than one fold" in str(each.message) for each in recwarn)


def test_without_folds_there_is_no_table() -> None:
    sweep(f"{LOGISTIC} --replicate data.split_seed=0,1 --run_name seeds")
    assert not Path("runs/seeds/out_of_fold.csv").exists()
