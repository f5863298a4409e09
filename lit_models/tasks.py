"""Tasks: for each one its loss on logits, the predictions made from them, and the metrics.

A task knows nothing about networks, and a network knows nothing about tasks; `LitModel` connects them.
"""

from abc import ABC, abstractmethod
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, R2Score
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

TaskName = Literal["binary", "multiclass", "regression", "reconstruction"]


class Task(nn.Module, ABC):
    """What `LitModel` needs from a task. N samples, K outputs."""

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch, a scalar."""

    @abstractmethod
    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        """Columns of predictions.csv: `prediction` (N, ...); for classes also `probability` (N,) or (N, K)."""

    def truth(self, target: Tensor) -> Tensor:
        """The target in the form and the units of `prediction`."""
        return target

    @abstractmethod
    def metrics(self) -> dict[str, Metric]:
        """New torchmetrics objects, to be updated with `prediction` and `truth`."""


class Binary(Task):
    """One logit; the target is 0 or 1."""

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits.squeeze(-1), target.to(logits.dtype))

    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        logit = logits.squeeze(-1).float()
        return {"prediction": (logit > 0).long(), "probability": logit.sigmoid()}

    def truth(self, target: Tensor) -> Tensor:
        return target.long()

    def metrics(self) -> dict[str, Metric]:
        return {"accuracy": BinaryAccuracy(validate_args=False)}


class Multiclass(Task):
    """K logits; the target is a class from 0 to K - 1.

    Args:
        num_classes: K.
        label_smoothing: share of the target that is spread evenly over all classes, only in training
            (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567).
    """

    def __init__(self, num_classes: int, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        smoothing = self.label_smoothing if self.training else 0.0
        return F.cross_entropy(logits, target, label_smoothing=smoothing)

    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        return {"prediction": logits.argmax(-1), "probability": logits.float().softmax(-1)}

    def metrics(self) -> dict[str, Metric]:
        return {"accuracy": MulticlassAccuracy(self.num_classes, average="micro", validate_args=False)}


class Regression(Task):
    """K real numbers; the loss uses the normalized target, every metric the units of the table.

    Args:
        target_mean: what the data module subtracted from the target, in its units.
        target_std: what the data module then divided by.
    """

    target_mean: Tensor
    target_std: Tensor

    def __init__(self, target_mean: float = 0.0, target_std: float = 1.0) -> None:
        super().__init__()
        # Buffers, so that a checkpoint predicts in the units of its training.
        self.register_buffer("target_mean", torch.tensor(target_mean, dtype=torch.float32))
        self.register_buffer("target_std", torch.tensor(target_std, dtype=torch.float32))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        if logits.numel() != target.numel():
            raise ValueError(
                f"the network returns {list(logits.shape)} for targets {list(target.shape)}; take another model "
                "for these data, such as LitRNN for series"
            )
        return F.mse_loss(logits.reshape(target.shape), target)

    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        return {"prediction": self._in_units(logits.squeeze(-1))}

    def truth(self, target: Tensor) -> Tensor:
        return self._in_units(target)

    def metrics(self) -> dict[str, Metric]:
        return {"mse": MeanSquaredError(), "mae": MeanAbsoluteError(), "r2": R2Score()}

    def _in_units(self, normalized: Tensor) -> Tensor:
        return normalized.float() * self.target_std + self.target_mean


class Reconstruction(Task):
    """The target is the input itself, (N, C, H, W); the loss is the mean squared error per pixel."""

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(logits, target)

    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        return {"prediction": logits.float()}

    def truth(self, target: Tensor) -> Tensor:
        return target.float()

    def metrics(self) -> dict[str, Metric]:
        return {"mse": MeanSquaredError()}


def make_task(
    name: TaskName, out_features: int, target_mean: float, target_std: float, label_smoothing: float
) -> Task:
    """The task of that name, for a network with `out_features` outputs.

    Raises:
        ValueError: for another name, or a number of outputs that does not fit the task.
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is {label_smoothing}; it is a share, from 0 to 1")
    if name == "binary":
        if out_features != 1:
            raise ValueError(f"a binary task has one logit, not out_features={out_features}")
        return Binary()
    if name == "multiclass":
        if out_features < 2:
            raise ValueError(f"a multiclass task has at least 2 logits, not out_features={out_features}")
        return Multiclass(out_features, label_smoothing)
    if name == "regression":
        return Regression(target_mean, target_std)
    if name == "reconstruction":
        return Reconstruction()
    raise ValueError(f"task is {name!r}; it must be one of {', '.join(get_args(TaskName))}")
