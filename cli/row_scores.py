"""How well a run predicts each row of its test split."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from callbacks.predictions import PredictionWriter
from cli.build import build
from cli.request import Request
from datamodules.base import TensorDataModule
from lit_models.base import LitModel
from runtime.errors import UsageError

TARGETS = ("target", "targets", "label", "labels", "y")  # in batches that are dictionaries
IGNORED = -100  # class of positions that count for nothing, as in PyTorch


@dataclasses.dataclass(frozen=True)
class RowScores:
    """How well one network predicts each row of its test split.

    Args:
        checkpoint: the network's file.
        right: (N,) whether each row's class was predicted correctly; None if a row has no single class.
        shares: (N,) share of correct classes among a row's positions or labels, if it has several; else None.
        errors: (N,) mean squared error of each row, in the units of the metrics; None for classification.
        truth: (N, ...) what should have been predicted.
        names: of the input columns, if the data module has them.
        inputs: (N, ...) as they come from the source, if the data module keeps them.
        trained_on: whether the network was trained on these very rows.
    """

    checkpoint: str
    right: Tensor | None
    shares: Tensor | None
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
        if isinstance(pl_module, LitModel):
            inputs, target, _ = pl_module.unpack(batch)
            truth = pl_module.task.truth(pl_module.target(inputs[0], target))
            if not isinstance(
                columns.get("prediction"), Tensor
            ):  # words, say: what the task makes of the logits
                columns = pl_module.task.predict(pl_module(*inputs))
        else:
            truth = target_in(batch)
        columns = {name: values for name, values in columns.items() if isinstance(values, Tensor)}
        self.batches.append({name: values.cpu() for name, values in {**columns, "truth": truth}.items()})


def target_in(batch: Any) -> Tensor:
    """The target of a batch: its second part, or what a dictionary calls so.

    Raises:
        UsageError: for a batch in which no target is found.
    """
    if isinstance(batch, Mapping):
        found = next((batch[name] for name in TARGETS if name in batch), None)
    else:
        found = batch[1] if isinstance(batch, list | tuple) and len(batch) > 1 else None
    if not isinstance(found, Tensor):
        names = f" with the names {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else ""
        raise UsageError(
            f"a test batch is a {type(batch).__name__}{names}; compare needs pairs (inputs, targets), or a dictionary "
            f"with a tensor named {', '.join(TARGETS[:-1])} or {TARGETS[-1]}"
        )
    return found


def scores_on_test_rows(request: Request) -> RowScores:
    """Let a run predict the rows of its test split; writes nothing.

    Args:
        request: `predict`, with the run's checkpoint.

    Raises:
        UsageError: if the run has no data module, or predicts nothing that can be compared, or NaN.
    """
    collector = Collector()
    run = build(request, callbacks=(collector,))
    data = run.datamodule
    if data is None:
        raise UsageError(f"{run.folder} has no data module, so its test rows are unknown")

    def test_dataloader() -> Any:
        data.setup("test")  # Lightning has only prepared the data of `predict`
        return data.test_dataloader()

    data.predict_dataloader = test_dataloader
    run.trainer.callbacks = [each for each in run.trainer.callbacks if not isinstance(each, PredictionWriter)]
    run.predict()
    columns = {name: torch.cat([batch[name] for batch in collector.batches]) for name in collector.batches[0]}
    check_finite(columns, run.settings.ckpt_path)
    right, shares, errors = score(columns, run.settings.ckpt_path)
    splits = data.splits if isinstance(data, TensorDataModule) else {}
    inputs = splits["test"][0] if splits else None
    return RowScores(
        checkpoint=str(run.settings.ckpt_path),
        right=right,
        shares=shares,
        errors=errors,
        truth=columns["truth"],
        names=getattr(data, "features", None),
        inputs=inputs,
        trained_on=inputs is not None and "train" in splits and is_same(inputs, splits["train"][0]),
    )


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


def score(
    columns: Mapping[str, Tensor], checkpoint: str
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """`right`, `shares` and `errors` of `RowScores`; one of them is not None."""
    if "mse" in columns:
        return None, None, columns["mse"]
    truth, prediction = columns["truth"], columns.get("prediction")
    if prediction is None or prediction.numel() != truth.numel():
        raise UsageError(
            f"{checkpoint}: its predict_step returns neither `prediction`, of the shape of the targets, "
            "nor an error per row, `mse`; there is nothing to compare"
        )
    rows = prediction.reshape(len(truth), -1), truth.reshape(len(truth), -1)
    if prediction.is_floating_point():
        return None, None, (rows[0] - rows[1]).square().mean(1)
    right, kept = rows[0] == rows[1], rows[1] != IGNORED
    if right.shape[1] == 1:
        return right[:, 0], None, None
    labelled = kept.any(1)  # a row without any label says nothing
    return None, ((right & kept).sum(1) / kept.sum(1))[labelled], None


def is_same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree up to float32 rounding of their largest value; missing values equal each other."""
    if a.shape != b.shape:
        return False
    rounding = 1e-5 * float(b.double().nan_to_num().abs().max())
    return torch.allclose(a.double(), b.double(), rtol=0.0, atol=rounding, equal_nan=True)
