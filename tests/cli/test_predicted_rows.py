"""What is taken from the batches of a prediction."""

from typing import Any, cast

import pytest
import torch

from cli.predicted_rows import Collector, MetricInputs, named_metrics, target_in
from lit_models import LitMLP
from runtime.errors import UsageError


@pytest.mark.parametrize("name", ["target", "labels", "y"])
def test_targets_in_dictionaries(name: str) -> None:
    assert target_in({"x": torch.zeros(2), name: torch.ones(2)}).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("batch", [torch.zeros(3), {"image": torch.zeros(3)}, [torch.zeros(3)]])
def test_batches_without_a_target(batch: object) -> None:
    with pytest.raises(UsageError, match=r"compare needs pairs \(inputs, targets\)"):
        target_in(batch)


def test_a_network_that_predicts_words_is_compared_by_its_classes() -> None:
    class Writer(LitMLP):
        def predict_step(self, batch: Any, batch_idx: int) -> dict[str, list[str]]:
            return {"prediction": ["word"] * len(batch[0])}

    model = Writer(in_shape=[3], out_features=4, task="multiclass")
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 3, 0])
    collector = Collector()
    collector.on_predict_batch_end(cast(Any, None), model, model.predict_step((x, y), 0), (x, y))
    assert torch.equal(collector.columns["prediction"], model(x).argmax(1))
    assert torch.equal(collector.columns["truth"], y)


def test_metrics_of_a_step_of_ones_own_are_left_out() -> None:
    class Own(LitMLP):
        def update_metrics(self, metrics: Any, batch: Any) -> None:
            pass

    options: dict[str, Any] = {
        "in_shape": [3],
        "out_features": 4,
        "task": "multiclass",
        "metrics": ["F1Score"],
    }
    assert list(named_metrics(LitMLP(**options))) == ["f1_score"]
    assert named_metrics(Own(**options)) == {}


def test_the_inputs_of_metrics_are_those_of_validation() -> None:
    model = LitMLP(in_shape=[3], out_features=4, task="multiclass", metrics=["F1Score"])
    batches = [(torch.randn(5, 3), torch.tensor([0, 1, 2, 3, 0])), (torch.randn(2, 3), torch.tensor([1, 1]))]
    found = MetricInputs()
    for batch in batches:
        found.on_predict_batch_end(cast(Any, None), model, {}, batch)
        model.update_metrics(model.val_metrics, batch)
    metric = model.test_metrics["f1_score"]
    metric.update(found.columns["scores"].flatten(0, 1), found.columns["truth"].flatten(0, 1))
    assert found.columns["scores"].shape == (7, 1, 4)
    assert metric.compute() == model.val_metrics["f1_score"].compute()
