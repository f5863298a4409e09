"""How well a run predicts each row of its test split."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from callbacks.data_spec import spec_of
from callbacks.dependent_rows import Rows, rows_of
from cli.predicted_rows import Collector, MetricInputs, named_metrics, predict_split
from cli.request import Request
from datamodules.base import TensorDataModule
from lit_models.metrics import names_in
from runtime.errors import UsageError

IGNORED = -100  # class of positions that count for nothing, as in PyTorch


@dataclasses.dataclass(frozen=True)
class RowScores:
    """How well one network predicts each row of its test split.

    Args:
        checkpoint: the network's file.
        truth: (N, ...) what should have been predicted.
        right: (N,) whether each row's class was predicted correctly; None if a row has no single class.
        shares: (N,) share of correct classes among a row's positions or labels, if it has several; else None.
        errors: (N,) mean squared error of each row, or (N, K) of each of its named outputs, in the units of the metrics;
            None for classification.
        rows: what a row is called, and which rows depend on each other.
        outputs: names of the K outputs; none if their errors are averaged.
        metrics: those asked for by name, to be computed from `metric_inputs`.
        class_names: of metrics with a number for each class.
        monitor: name of the metric that chose the checkpoint.
        metric_inputs: `scores` and `truth` (N, M, ...), as these metrics take them after `flatten(0, 1)`.
        names: of the input columns, if the data module has them.
        inputs: (N, ...) as they come from the source, if the data module keeps them.
        trained_on: whether the network was trained on these very rows.
    """

    checkpoint: str
    truth: Tensor
    right: Tensor | None = None
    shares: Tensor | None = None
    errors: Tensor | None = None
    rows: Rows = dataclasses.field(default_factory=Rows)
    outputs: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    class_names: Sequence[Any] = ()
    monitor: str = ""
    metric_inputs: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)
    names: Any = None
    inputs: Tensor | None = None
    trained_on: bool = False


def scores_on_test_rows(request: Request) -> RowScores:
    """Let a run predict the rows of its test split; writes nothing.

    Args:
        request: `predict`, with the run's checkpoint.

    Raises:
        UsageError: if the run has no data module, or predicts nothing that can be compared, or NaN.
    """
    collector, metric_inputs = Collector(), MetricInputs()
    run = predict_split(request, "test", collector, metric_inputs)
    data, columns = run.datamodule, collector.columns
    checkpoint = str(run.settings.ckpt_path)
    check_finite(columns, checkpoint)
    splits = data.splits if isinstance(data, TensorDataModule) else {}
    inputs = splits["test"][0] if splits else None
    outputs = output_names(data)
    return RowScores(
        checkpoint=checkpoint,
        truth=columns["truth"],
        **score(columns, checkpoint, len(outputs)),
        rows=checked_rows(data, len(columns["truth"])),
        outputs=outputs,
        metrics=named_metrics(run.model),
        class_names=names_in(data),
        monitor=str(getattr(run.settings, "monitor", "")),
        metric_inputs=metric_inputs.columns,
        names=getattr(data, "features", None),
        inputs=inputs,
        trained_on=inputs is not None and "train" in splits and is_same(inputs, splits["train"][0]),
    )


def output_names(data: Any) -> tuple[str, ...]:
    """The names of several outputs, each in a unit of its own; none if the data module does not name them."""
    names = spec_of(data).target_name
    return () if isinstance(names, str) else tuple(names)


def checked_rows(data: Any, num_rows: int) -> Rows:
    """What the data module says of its test rows.

    Raises:
        UsageError: if it has another number of groups.
    """
    rows = rows_of(data, "test")
    if rows.groups is not None and len(rows.groups) != num_rows:
        raise UsageError(
            f"row_groups of {type(data).__name__} names the groups of {len(rows.groups)} test rows, "
            f"but there are {num_rows}"
        )
    return rows


def check_finite(columns: Mapping[str, Tensor], checkpoint: str) -> None:
    """Refuse predictions that are NaN or infinite: no test says anything about them.

    A network that returns NaN still predicts a class; then its probabilities show it.

    Raises:
        UsageError: with the number of such rows.
    """
    for name, values in columns.items():
        odd = int((~values.reshape(len(values), -1).isfinite()).any(1).sum())
        if odd and name != "truth":
            raise UsageError(
                f"{checkpoint}: `{name}` is NaN or infinite in {odd} of {len(values)} test rows; compare another "
                "checkpoint, or train with a smaller learning rate"
            )


def score(columns: Mapping[str, Tensor], checkpoint: str, num_outputs: int = 0) -> dict[str, Tensor]:
    """`right`, `shares` or `errors` of `RowScores`.

    Args:
        columns: `truth`, and what was predicted.
        checkpoint: for the message.
        num_outputs: number of named outputs, whose errors are not averaged.
    """
    if "mse" in columns:
        return {"errors": columns["mse"]}
    truth, prediction = columns["truth"], columns.get("prediction")
    if prediction is None or prediction.numel() != truth.numel():
        raise UsageError(
            f"{checkpoint}: its predict_step returns neither `prediction`, of the shape of the targets, "
            "nor an error per row, `mse`; there is nothing to compare"
        )
    predicted, true = prediction.reshape(len(truth), -1), truth.reshape(len(truth), -1)
    if prediction.is_floating_point():
        errors = (predicted - true).square()
        return {"errors": errors if errors.shape[1] == num_outputs > 1 else errors.mean(1)}
    right, kept = predicted == true, true != IGNORED
    if right.shape[1] == 1:
        return {"right": right[:, 0]}
    return {"shares": (right & kept).sum(1) / kept.sum(1)}  # NaN for a row without any label


def is_same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree up to float32 rounding of their largest value; missing values equal each other."""
    if a.shape != b.shape:
        return False
    rounding = 1e-5 * float(b.double().nan_to_num().abs().max())
    return torch.allclose(a.double(), b.double(), rtol=0.0, atol=rounding, equal_nan=True)
