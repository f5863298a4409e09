"""Several labels: the loss comes close to the least possible, which the true probabilities have."""

from pathlib import Path

import pytest
import torch.nn.functional as F
from sklearn.metrics import f1_score, roc_auc_score

from examples.multi_label.data import true_probabilities
from tests.examples.figures import trained_and_tested


def test_no_model_can_be_much_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, figures = trained_and_tested("multi_label")
    x, y = run.datamodule.splits["test"]
    truth = true_probabilities(x)
    best = float(F.binary_cross_entropy(truth, y.float()))
    assert best < figures["loss"] < best + 0.02
    assert figures["auroc"] == pytest.approx(roc_auc_score(y, truth, average="macro"), abs=0.01)

    probability = run.model.eval()(run.datamodule.prepare_inputs(x)).sigmoid().detach()
    assert figures["auroc"] == pytest.approx(roc_auc_score(y, probability, average="macro"), abs=1e-4)
    assert figures["f1_score"] == pytest.approx(f1_score(y, probability > 0.5, average="macro"), abs=1e-4)
