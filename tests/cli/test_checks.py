"""Which metrics a run may wait for, before it is known what is logged."""

from typing import Any

import pytest

from cli.checks import check_monitor
from lit_models import LitMLP
from runtime.errors import UsageError

ARGUMENTS: dict[str, Any] = {"in_shape": [2], "hidden_sizes": [2]}


class WithItsOwnMetric(LitMLP):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        self.log("val/f1", 0.5)


@pytest.mark.parametrize("metric", ["val/loss", "val/accuracy", "train/anything"])
def test_a_metric_that_may_come(metric: str) -> None:
    check_monitor(metric, LitMLP(**ARGUMENTS))


def test_a_metric_that_no_validation_brings() -> None:
    with pytest.raises(UsageError, match="--monitor val/f1 is not measured; did you mean 'val/loss'"):
        check_monitor("val/f1", LitMLP(**ARGUMENTS))


def test_a_model_may_log_metrics_of_its_own() -> None:
    check_monitor("val/f1", WithItsOwnMetric(**ARGUMENTS))
