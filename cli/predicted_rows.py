"""What a run predicts for the rows of one of its splits, next to the truth; nothing is written."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from callbacks.predictions import PredictionWriter
from cli.build import Run, build
from cli.request import Request
from lit_models.base import LitModel
from runtime.errors import UsageError

TARGETS = ("target", "targets", "label", "labels", "y")  # in batches that are dictionaries


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

    @property
    def columns(self) -> dict[str, Tensor]:
        """All batches together, (N, ...) each."""
        return joined(self.batches)


class MetricInputs(Callback):
    """Keeps what the metrics asked for by name are computed from, of a model that leaves this to its task."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Tensor]] = []

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        if named_metrics(pl_module):
            assert isinstance(pl_module, LitModel)
            inputs, y, _ = pl_module.unpack(batch)
            target = pl_module.target(inputs[0], y)
            scores, truth = pl_module.task.for_metrics(pl_module(*inputs), target)
            # a task may flatten several numbers per row
            self.batches.append(
                {
                    name: values.cpu().unflatten(0, (len(target), -1))
                    for name, values in {"scores": scores, "truth": truth}.items()
                }
            )

    @property
    def columns(self) -> dict[str, Tensor]:
        """`scores` and `truth` (N, M, ...) with M entries of the metric for each row; nothing if there is none."""
        return joined(self.batches)


def joined(batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The columns of several batches, one after the other."""
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]} if batches else {}


def named_metrics(model: LightningModule) -> dict[str, Any]:
    """The scalar metrics of `--model.metrics`, by their names; none if a model has its own way to compute them."""
    if not isinstance(model, LitModel) or type(model).update_metrics is not LitModel.update_metrics:
        return {}
    own = ("loss", *model.task.metrics())
    return {name: metric for name, metric in model.test_metrics.items() if name not in own}


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


def predict_split(request: Request, split: str, *callbacks: Callback) -> Run:
    """Let a run predict the rows of one of its splits; the callbacks see each batch.

    Args:
        request: `predict`, with the run's checkpoint.
        split: "val" or "test".

    Raises:
        UsageError: if the run has no data module.
    """
    run = build(request, callbacks=callbacks)
    data = run.datamodule
    if data is None:
        raise UsageError(f"{run.folder} has no data module, so its {split} rows are unknown")
    stage = {"val": "validate"}.get(split, split)

    def dataloader() -> Any:
        data.setup(stage)  # Lightning has only prepared the data of `predict`
        return getattr(data, f"{split}_dataloader")()

    data.predict_dataloader = dataloader
    run.trainer.callbacks = [each for each in run.trainer.callbacks if not isinstance(each, PredictionWriter)]
    run.predict()
    return run
