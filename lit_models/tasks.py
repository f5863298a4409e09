"""Tasks: for each one its loss on logits, the predictions made from them, and the metrics.

A task knows nothing about networks, and a network knows nothing about tasks; `LitModel` connects them. A task of one's
own is a subclass of `Task` in any file, and the data module's `task` is its class path, such as "my_tasks.Ordinal".
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, R2Score
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy, MultilabelAccuracy

from lit_models.class_weights import BALANCED, PosWeight, Weights, as_buffer
from lit_models.output_errors import OutputErrors
from lit_models.positions import check_positions, the_only_dim
from lit_models.targets import IGNORED, check_classes, check_zero_to_one
from lit_models.task import Task as Task


class Binary(Task):
    """One logit; the target is 0 or 1.

    Args:
        pos_weight: factor of the loss of rows of class 1; "balanced": rows of class 0 over rows of class 1.
    """

    pos_weight: Tensor | None

    def __init__(self, out_features: int = 1, pos_weight: PosWeight = None) -> None:
        super().__init__()
        if out_features != 1:
            raise ValueError(f"a binary task has one logit, not out_features={out_features}")
        self.balances = "pos_weight" if pos_weight == BALANCED else ""
        self.register_buffer("pos_weight", as_buffer("pos_weight", pos_weight))

    def loss(self, logits: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        logit = logits.squeeze(-1)
        target = target.reshape(logit.shape).to(logits.dtype)
        return F.binary_cross_entropy_with_logits(
            logit, target, pos_weight=self.pos_weight, reduction=reduction
        )

    def check_target(self, target: Tensor) -> None:
        check_zero_to_one(target, "a binary")

    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        logit = logits.squeeze(-1).float()
        return {"prediction": (logit > 0).long(), "probability": logit.sigmoid()}

    def truth(self, target: Tensor) -> Tensor:
        return target.long().flatten()

    def balance(self, class_counts: Sequence[int]) -> None:
        self.pos_weight = torch.tensor(class_counts[0] / class_counts[1])

    def metrics(self) -> dict[str, Metric]:
        return {"accuracy": BinaryAccuracy(validate_args=False)}

    def metric_options(self) -> tuple[str, dict[str, Any]]:
        return "Binary", {}


class Multiclass(Task):
    """K logits; the target is a class from 0 to K - 1, one for each sample (N,) or for each position (N, ...).

    With a class for each position, for example of each pixel or token, the logits are (N, K, ...) or (N, ..., K).
    Positions whose target is -100 are ignored.

    Args:
        out_features: K.
        label_smoothing: share of the target that is spread evenly over all classes, only in training
            (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567).
        class_weights: (K,) factors of the losses of the classes; the mean is weighted, as in `cross_entropy`.
            "balanced": rows / (K * rows of the class), as in scikit-learn.
        classes_dim: the dimension of the logits that holds the classes, 1 or -1. None: the one that has K entries, as
            the first batch shows in which only one of both has.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        out_features: int,
        label_smoothing: float = 0.0,
        class_weights: Weights = None,
        classes_dim: int | None = None,
    ) -> None:
        super().__init__()
        if out_features < 2:
            raise ValueError(f"a multiclass task has at least 2 logits, not out_features={out_features}")
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing is {label_smoothing}; it is a share, from 0 to 1")
        if classes_dim not in (None, 1, -1):
            raise ValueError(f"classes_dim is {classes_dim}; it must be 1 or -1")
        self.num_classes = out_features
        self.label_smoothing = label_smoothing
        self.classes_dim = classes_dim
        self.balances = "class_weights" if class_weights == BALANCED else ""
        self.register_buffer("class_weights", as_buffer("class_weights", class_weights, out_features))

    def loss(self, logits: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        logits = self.logits_for_metrics(logits)
        check_positions(logits, target, self.num_classes)
        smoothing = self.label_smoothing if self.training else 0.0
        try:
            return F.cross_entropy(
                logits, target, self.class_weights, label_smoothing=smoothing, reduction=reduction
            )
        except IndexError:
            self.check_target(target)
            raise

    def check_target(self, target: Tensor) -> None:
        if not target.is_floating_point():
            check_classes(target, self.num_classes)

    def entry_weights(self, target: Tensor) -> Tensor | None:
        if target.is_floating_point():  # probabilities of the classes
            return None
        kept = target != IGNORED
        return (
            kept
            if self.class_weights is None
            else self.class_weights[target.clamp(0, self.num_classes - 1)] * kept
        )

    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        logits = self.logits_for_metrics(logits)
        return {"prediction": logits.argmax(1), "probability": logits.float().softmax(1)}

    def balance(self, class_counts: Sequence[int]) -> None:
        counts = torch.tensor(class_counts, dtype=torch.float64)
        self.class_weights = (counts.sum() / (len(counts) * counts)).float()

    def metrics(self) -> dict[str, Metric]:
        accuracy = MulticlassAccuracy(
            self.num_classes, average="micro", ignore_index=IGNORED, validate_args=False
        )
        return {"accuracy": accuracy}

    def metric_options(self) -> tuple[str, dict[str, Any]]:
        return "Multiclass", {
            "num_classes": self.num_classes,
            "ignore_index": IGNORED,
            "input_format": "mixed",  # of metrics of segmentation: probabilities next to classes
        }

    def logits_for_metrics(self, logits: Tensor) -> Tensor:
        """The logits with the classes in dimension 1, where PyTorch's loss and torchmetrics have them."""
        if logits.ndim < 3:
            return logits
        if self.classes_dim is None:
            self.classes_dim = the_only_dim(logits, self.num_classes)
        return logits.movedim(-1, 1) if self.classes_dim == -1 else logits


class Multilabel(Task):
    """K logits; the target (N, K) says for each label whether it applies, 0 or 1.

    Args:
        out_features: K.
        pos_weight: factor of the loss of labels that apply; "balanced": labels that do not over labels that do.
    """

    pos_weight: Tensor | None

    def __init__(self, out_features: int, pos_weight: PosWeight = None) -> None:
        super().__init__()
        self.num_labels = out_features
        self.balances = "pos_weight" if pos_weight == BALANCED else ""
        self.register_buffer("pos_weight", as_buffer("pos_weight", pos_weight))

    def loss(self, logits: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        if logits.shape != target.shape:
            raise ValueError(
                f"the network returns {list(logits.shape)} for labels {list(target.shape)}; both must be (N, K)"
            )
        return F.binary_cross_entropy_with_logits(
            logits, target.to(logits.dtype), pos_weight=self.pos_weight, reduction=reduction
        )

    def check_target(self, target: Tensor) -> None:
        check_zero_to_one(target, "a multilabel")

    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        return {"prediction": (logits > 0).long(), "probability": logits.float().sigmoid()}

    def truth(self, target: Tensor) -> Tensor:
        return target.long()

    def balance(self, class_counts: Sequence[int]) -> None:
        self.pos_weight = torch.tensor(class_counts[0] / class_counts[1])

    def metrics(self) -> dict[str, Metric]:
        return {"accuracy": MultilabelAccuracy(self.num_labels, average="micro", validate_args=False)}

    def metric_options(self) -> tuple[str, dict[str, Any]]:
        return "Multilabel", {"num_labels": self.num_labels}


class Regression(Task):
    """K real numbers; the loss uses the normalized target, every metric the units of the table.

    With several outputs mse and mae are means over all of them, and r2 is the mean of the outputs' own r2. The
    outputs are the columns of a target (N, K), or of K series over H steps (N, H, K).

    Args:
        out_features: K, or H * K if the network returns all steps at once.
        target_mean: what the data module subtracted from the target, in its units; (K,) for several outputs.
        target_std: what the data module then divided by; likewise.
    """

    target_mean: Tensor
    target_std: Tensor

    def __init__(
        self,
        target_mean: float | Sequence[float] = 0.0,
        target_std: float | Sequence[float] = 1.0,
        out_features: int = 1,
    ) -> None:
        super().__init__()
        self.num_outputs = out_features
        # Buffers, so that a checkpoint predicts in the units of its training.
        self.register_buffer("target_mean", torch.tensor(target_mean, dtype=torch.float32))
        self.register_buffer("target_std", torch.tensor(target_std, dtype=torch.float32))

    def loss(self, logits: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        if logits.numel() != target.numel():
            raise ValueError(
                f"the network returns {list(logits.shape)} for targets {list(target.shape)}; take another model "
                "for these data, such as LitRNN for series"
            )
        return F.mse_loss(logits.reshape(target.shape), target, reduction=reduction)

    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        num_columns = self.target_mean.numel()
        if num_columns > 1 and logits.shape[-1] != num_columns:  # all steps of several series
            logits = logits.unflatten(-1, (-1, num_columns))
        return {"prediction": self._in_units(logits.squeeze(-1))}

    def truth(self, target: Tensor) -> Tensor:
        return self._in_units(target)

    def for_metrics(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        # In float32 the sums of squares of a target around 1000 with a deviation of 1 put r2 wrong by 5 %.
        prediction, truth = (each.double() for each in super().for_metrics(logits, target))
        num_columns = truth.shape[-1] if truth.ndim > 1 else 1
        if (
            num_columns > 1 and self.num_outputs % num_columns == 0
        ):  # r2 compares with the mean of each column
            return prediction.reshape(-1, num_columns), truth.reshape(-1, num_columns)
        return prediction.flatten(), truth.flatten()

    def metrics(self) -> dict[str, Metric]:
        metrics = {"mse": MeanSquaredError(), "mae": MeanAbsoluteError(), "r2": R2Score()}
        return {**metrics, "mae_by_output": OutputErrors()} if self.num_outputs > 1 else metrics

    def _in_units(self, normalized: Tensor) -> Tensor:
        return normalized.float() * self.target_std + self.target_mean


class Reconstruction(Task):
    """The target is the input itself, (N, C, H, W); the loss is the mean squared error per pixel."""

    def loss(self, logits: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        return F.mse_loss(logits, target, reduction=reduction)

    def predict(self, logits: Tensor) -> dict[str, Tensor]:
        return {"prediction": logits.float()}

    def truth(self, target: Tensor) -> Tensor:
        return target.float()

    def metrics(self) -> dict[str, Metric]:
        return {"mse": MeanSquaredError()}
