"""Several outputs: each comes close to the least possible error, which is the noise of its own unit."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from examples.several_outputs.data import true_means
from tests.examples.figures import trained_and_tested


def test_no_model_can_be_much_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, figures = trained_and_tested("several_outputs")
    x, y = run.datamodule.splits["test"]
    best = r2_score(y, true_means(x), multioutput="raw_values")
    prediction = run.model.task.predict(run.model.eval()(run.datamodule.prepare_inputs(x)))["prediction"]
    reached = r2_score(y, prediction.detach(), multioutput="raw_values")
    assert (np.abs(reached - best) < 0.01).all()
    assert figures["r2"] == pytest.approx(reached.mean(), abs=1e-4)
    errors = (y - prediction.detach()).abs().mean(0)
    for name, error in zip(
        ("price_(1000_EUR)", "energy_(kWh_m2_year)", "days_until_sold"), errors, strict=True
    ):
        assert figures[f"mae/{name}"] == pytest.approx(float(error), rel=1e-4)

    x_train, y_train = run.datamodule.splits["train"]
    linear = LinearRegression().fit(x_train, y_train).predict(x)
    assert (r2_score(y, linear, multioutput="raw_values") < reached - 0.01).any()
