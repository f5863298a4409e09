"""What every task provides, and how much rows and positions count in its loss."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric


class Task(nn.Module, ABC):
    """What `LitModel` needs from a task. N samples, K outputs.

    The constructor of a subclass names what it wants to know: `out_features`, `target_mean`, `target_std`,
    `label_smoothing`, `class_weights`, `pos_weight`, `classes_dim`.
    """

    balances = ""  # the option whose weights come from the training split, if there is one

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        """Mean loss of a batch, a scalar; with reduction "none" the loss of each row (N,) or of each entry (N, ...).

        Only rows with weights of their own need "none"; a task that is never given any can do without the argument.
        """

    @abstractmethod
    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        """Columns of predictions.csv: `prediction` (N, ...); for classes also `probability` (N,) or (N, K, ...)."""

    @abstractmethod
    def metrics(self) -> dict[str, Metric]:
        """New torchmetrics objects, to be updated with what `for_metrics` returns."""

    def terms(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Terms of the loss, each a scalar, that are logged by their names, such as `train/label_loss`."""
        return {}

    def check_target(self, target: Tensor) -> None:
        """Refuse a target of a whole split with values that the loss does not know.

        Raises:
            ValueError: with one of them.
        """

    def truth(self, target: Tensor) -> Tensor:
        """The target in the form and the units of `prediction`."""
        return target

    def for_metrics(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """What metrics compare: of classes the probabilities, which ranking metrics need, and the truth.

        Raises:
            ValueError: if `predict` has no column `prediction`.
        """
        columns = self.predict(logits)
        if "prediction" not in columns:
            raise ValueError(
                f"{type(self).__name__}.predict returns {', '.join(columns)}, but no `prediction` to compare with the "
                "truth: name a column so, or add the method `for_metrics`, as in docs/tasks.md"
            )
        return columns.get("probability", columns["prediction"]), self.truth(target)

    def logits_for_metrics(self, logits: Tensor) -> Tensor:
        """The logits in the form in which metrics expect them: (N, K, ...)."""
        return logits

    def entry_weights(self, target: Tensor) -> Tensor | None:
        """How much each entry of the losses counts in their mean, (N, ...); None if all count the same."""
        return None

    def mean_and_weight(
        self, logits: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor | int]:
        """Mean loss of a batch, and the weight with which it enters the mean over several batches.

        Args:
            logits, target: as for `loss`.
            weight: of the rows (N,), or of positions (N, ...). The mean is then the sum of weight * loss over the sum of
                the weights, as with `sample_weight` in scikit-learn; 0 if all weights are 0.

        Raises:
            ValueError: if the weights do not fit the losses, or the task has no losses of single rows.
        """
        entries = self.entry_weights(target)
        if weight is None:
            loss = self.loss(logits, target)
            if entries is None:
                return loss, len(target)
            total = entries.sum()
            return torch.where(total > 0, loss, 0.0), total  # the mean over no positions is NaN
        if not takes_reduction(type(self)):
            raise ValueError(
                f"rows have weights, but {type(self).__name__}.loss has no argument `reduction`, with which it would "
                'return the losses of single rows; add `reduction: str = "mean"`, as in docs/tasks.md'
            )
        losses = self.loss(logits, target, reduction="none")
        weights = as_wide_as(losses, weight)
        total = (weights if entries is None else weights * entries).sum()
        return (weights * losses).sum() / total.clamp(min=torch.finfo(total.dtype).tiny), total

    def balance(self, class_counts: Sequence[int]) -> None:
        """Set the weights that the option `balances` names, from the rows (or positions) of each class."""

    def metric_options(self) -> tuple[str, dict[str, Any]]:
        """The prefix of torchmetrics' classes for this task, and the arguments that the data determine."""
        return "", {}


def as_wide_as(losses: Tensor, weight: Tensor) -> Tensor:
    """Weights (N,) or (N, ...) in the shape of the losses (N, ...): those of a row are repeated for its entries.

    Raises:
        ValueError: for another shape, and for integers: they are no weights, but lengths or names.
    """
    if not (weight.is_floating_point() or weight.dtype == torch.bool):
        raise ValueError(
            f"the third part of a batch holds the weights of its rows, but it has integers ({weight.dtype}); give "
            "real numbers, or let the model's `unpack` say what the part is"
        )
    if weight.shape != losses.shape[: weight.ndim]:
        raise ValueError(
            f"the weights of a batch have the shape {list(weight.shape)} for losses {list(losses.shape)}; give one for "
            "each row (N,) or position, or let the model's `unpack` say what the third part of a batch is"
        )
    trailing = [1] * (losses.ndim - weight.ndim)
    return weight.to(losses.dtype).reshape(*weight.shape, *trailing).expand_as(losses)


@cache
def takes_reduction(kind: type[Task]) -> bool:
    """Whether the task's loss can be asked for the losses of single rows."""
    return "reduction" in inspect.signature(kind.loss).parameters
