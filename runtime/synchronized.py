"""Lightning's advice `sync_dist=True` is given only where it is true.

In several processes it advises this for every number that is logged at the end of an evaluation. The result of a metric
of torchmetrics is the same in all of them: its `compute` has collected the shares of all processes.
"""

import re
import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import Metric

from runtime.private import LoggedValues, collect_evaluations, computed


def advise_where_true(trainer: pl.Trainer) -> None:
    """Let the evaluations of a Trainer keep what is logged as `EvaluationResults`; call this before it starts."""
    collect_evaluations(trainer, lambda: EvaluationResults(trainer))


class EvaluationResults(LoggedValues):
    """What was logged in an evaluation, and which of it is the result of a metric of the module."""

    def __init__(self, trainer: pl.Trainer) -> None:
        super().__init__(training=False)
        self.trainer = trainer
        self.synchronized: set[str] = set()  # names

    def update_metrics(self, key: str, value: Any, batch_size: int) -> None:
        super().update_metrics(key, value, batch_size)
        if self.trainer.world_size > 1 and isinstance(value, Tensor) and self._is_computed(value):
            self.synchronized.add(self[key].meta.name)

    def metrics(self, on_step: bool) -> Any:
        with warnings.catch_warnings():
            for name in self.synchronized:
                advice = rf"It is recommended to use `self\.log\({re.escape(repr(name))}"
                warnings.filterwarnings("ignore", advice)
            return super().metrics(on_step)

    def _is_computed(self, value: Tensor) -> bool:
        """Whether it is what a metric has computed, which it keeps until it is reset."""
        metrics = [each for each in self.trainer.lightning_module.modules() if isinstance(each, Metric)]
        results = [result for each in metrics for result in computed(each)]
        return any(is_same(value, each) for each in results)


def is_same(one: Tensor, other: Tensor) -> bool:
    """Whether two single numbers, of any type and on any device, are equal as float32, or both not a number."""
    first, second = (each.detach().cpu().float().flatten() for each in (one, other))
    return torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)
