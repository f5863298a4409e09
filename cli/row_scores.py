"""What a run answers to the rows of its test split, beside what is right."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from callbacks.predictions import PredictionWriter
from cli.build import LightningInside
from cli.request import Request
from datamodules.base import TensorDataModule
from lit_models.base import LitModel
from runtime.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Answers:
    """What one network says to the rows of its test split.

    Args:
        checkpoint: the network's file.
        right: (N,) whether each class was predicted correctly; None where classes are not the task.
        errors: (N,) mean squared error of each row, in the units of the metrics; None where classes are the task.
        truth: (N, ...) what should have been answered.
        names: of the input columns, where the data module has them.
        inputs: (N, ...) as they come from the source, where the data module keeps them.
        trained_on: whether the network was trained on these very rows.
    """

    checkpoint: str
    right: Tensor | None
    errors: Tensor | None
    truth: Tensor
    names: Any
    inputs: Tensor | None
    trained_on: bool


class Collector(Callback):
    """Keeps the predictions and the truth of every batch that has both."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Tensor]] = []

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        columns = dict(outputs) if isinstance(outputs, Mapping) else {"prediction": outputs}
        truth = batch[1]
        if isinstance(pl_module, LitModel):
            truth = pl_module.task.truth(pl_module.target(*batch))
        self.batches.append({name: values.cpu() for name, values in {**columns, "truth": truth}.items()})


class OnTestSplit(LightningInside):
    """`predict`, on the rows of `test`, and nothing is written."""

    def __init__(self, request: Request) -> None:
        self.collector = Collector()
        super().__init__(request)

    def _own_callbacks(self, given: list[Callback]) -> list[Callback]:
        usual = super()._own_callbacks(given)
        return [*(each for each in usual if not isinstance(each, PredictionWriter)), self.collector]

    def before_predict(self) -> None:
        if self.datamodule is None:
            raise UsageError(f"{self.folder} has no data module, so its test rows are unknown")
        self.datamodule.predict_dataloader = self._test_dataloader

    def _test_dataloader(self) -> Any:
        self.datamodule.setup("test")  # Lightning has prepared the data of `predict` only
        return self.datamodule.test_dataloader()

    def after_predict(self) -> None:
        """No table of predictions."""

    def answers(self) -> Answers:
        """What was collected."""
        batches = self.collector.batches
        columns = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
        right, errors = score(columns, self.settings.ckpt_path)
        splits = self.datamodule.splits if isinstance(self.datamodule, TensorDataModule) else {}
        inputs = splits["test"][0] if splits else None
        return Answers(
            checkpoint=str(self.settings.ckpt_path),
            right=right,
            errors=errors,
            truth=columns["truth"],
            names=getattr(self.datamodule, "features", None),
            inputs=inputs,
            trained_on=inputs is not None and "train" in splits and same(inputs, splits["train"][0]),
        )


def score(columns: Mapping[str, Tensor], checkpoint: str) -> tuple[Tensor | None, Tensor | None]:
    """Whether each class was predicted correctly (N,), or the mean squared error of each row (N,)."""
    if "mse" in columns:
        return None, columns["mse"]
    truth, prediction = columns["truth"], columns.get("prediction")
    if prediction is None or prediction.numel() != truth.numel():
        raise UsageError(
            f"{checkpoint}: its predict_step returns neither `prediction`, of the shape of the targets, "
            "nor an error per row, `mse`; there is nothing to compare"
        )
    if not prediction.is_floating_point():
        return prediction == truth, None
    squares = (prediction.reshape(truth.shape) - truth).square()
    return None, squares.reshape(len(truth), -1).mean(1)


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree to float32 rounding of their largest value; missing values agree with each other."""
    if a.shape != b.shape:
        return False
    rounding = 1e-5 * float(b.double().nan_to_num().abs().max())
    return torch.allclose(a.double(), b.double(), rtol=0.0, atol=rounding, equal_nan=True)
