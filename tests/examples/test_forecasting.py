"""Windows over a table: where they lie, and forecasts compared with scikit-learn's ridge regression."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from examples.forecasting.data import DAY, FILE, DemandDataModule, make_table
from tests.examples.figures import trained_and_tested


def test_the_table_is_what_the_program_makes() -> None:
    pd.testing.assert_frame_equal(pd.read_csv(FILE), make_table(), check_dtype=False)


def test_windows_are_cut_from_the_table() -> None:
    table = pd.read_csv(FILE)
    data = DemandDataModule()
    splits = data.load()
    x, y = splits["val"]
    first = int(0.7 * len(table))
    assert x[5].numpy() == pytest.approx(
        table[["demand", "temperature", "holiday"]][first + 5 - 72 : first + 5].to_numpy(np.float32)
    )
    assert y[5].numpy() == pytest.approx(table["demand"][first + 5 : first + 29].to_numpy(np.float32))
    assert splits["train"][1][-1].numpy() == pytest.approx(
        table["demand"][first - 24 : first].to_numpy(np.float32)
    )
    assert splits["test"][1][-1].numpy() == pytest.approx(table["demand"][-24:].to_numpy(np.float32))


def test_forecasts_are_as_good_as_those_of_ridge_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, figures = trained_and_tested("forecasting")
    (x, y), (x_test, y_test) = (
        [part.flatten(1).numpy() for part in run.datamodule.splits[split]] for split in ("train", "test")
    )
    scaler = StandardScaler().fit(x)
    ridge = RidgeCV([1, 10, 100, 1000]).fit(scaler.transform(x), y)
    error = ((ridge.predict(scaler.transform(x_test)) - y_test) ** 2).mean()
    assert figures["mse"] < 1.05 * error
    yesterday = run.datamodule.splits["test"][0][:, -DAY:, 0].numpy()
    assert figures["mse"] < 0.5 * ((yesterday - y_test) ** 2).mean()
