"""predictions.csv: one row per sample."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.data_spec import spec_of
from callbacks.files import replacing


class PredictionWriter(Callback):
    """Collects what `predict_step` returns, from all processes, and writes it as a table.

    `predict_step` returns named columns: tensors (N,), or (N, K), which become K columns `name_0`, `name_1`, ... (a
    single tensor is called `prediction`). It uses three values of the data module (see `spec_of`): `id_name`, the
    heading of the samples' ids (N,), which are then the second entry of a batch (without it, samples are numbered);
    `class_values`, the source's values for class 0, 1, ...; and `submission_columns`, for a second table,
    submission.csv, with these columns under other headings.

    Args:
        folder: where the table goes.

    `written` holds the paths of the written tables.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[Path] = []
        self._batches: list[dict[str, Tensor]] = []

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        named = outputs if isinstance(outputs, Mapping) else {"prediction": outputs}
        columns = {"id": batch[1], **named} if spec_of(trainer.datamodule).id_name else named
        self._batches.append({name: values.detach().cpu() for name, values in columns.items()})

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        batches = self._gather(trainer)
        self._batches = []
        if not trainer.is_global_zero:
            return
        columns = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
        if "id" not in columns:
            columns = {"id": torch.arange(len(next(iter(columns.values())))), **columns}
        if columns["id"].ndim == 2:
            columns = one_row_per_step(columns)
        spec = spec_of(trainer.datamodule)
        table = to_table(columns, spec.class_values).rename(columns={"id": spec.id_name or "index"})
        self._write(table, "predictions.csv")
        headings = spec.submission_columns
        if headings and set(headings) <= set(table.columns):
            self._write(table[list(headings)].rename(columns=headings), "submission.csv")

    def _write(self, table: pd.DataFrame, name: str) -> None:
        with replacing(self.folder / name) as temporary:
            table.to_csv(temporary, index=False)
        self.written.append(self.folder / name)

    def _gather(self, trainer: Trainer) -> list[dict[str, Tensor]]:
        """The batches of all processes; only the first process gets them."""
        if trainer.world_size == 1:
            return self._batches
        shares: list[Any] | None = [None] * trainer.world_size if trainer.is_global_zero else None
        torch.distributed.gather_object(self._batches, shares)
        return interleaved(shares or [])


def interleaved(shares: Sequence[Sequence[dict[str, Tensor]]]) -> list[dict[str, Tensor]]:
    """The batches of W processes as a single process would have them: a batch's rows are distributed one by one.

    Args:
        shares: for each process its batches; row k of process r is row k * W + r of the whole batch.
    """
    whole = []
    for parts in zip_longest(*shares, fillvalue=None):
        present = [(rank, part) for rank, part in enumerate(parts) if part is not None]
        sizes = [len(next(iter(part.values()))) for _, part in present]
        places = [
            torch.arange(size) * len(shares) + rank for size, (rank, _) in zip(sizes, present, strict=True)
        ]
        order = torch.cat(places).argsort()
        whole.append({name: torch.cat([part[name] for _, part in present])[order] for name in present[0][1]})
    return whole


def one_row_per_step(columns: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn columns (N, H, ...) of forecasts over H steps into columns (N * H, ...), and add the number of the series."""
    num_series, horizon = columns["id"].shape
    series = torch.arange(num_series).repeat_interleave(horizon)
    return {"series": series, **{name: values.flatten(0, 1).squeeze(-1) for name, values in columns.items()}}


def to_table(columns: dict[str, Tensor], class_values: Any = ()) -> pd.DataFrame:
    """Columns (N,) unchanged, columns (N, ...) as one column per number."""
    table = {}
    for name, values in columns.items():
        if values.ndim == 1:
            table[name] = values.numpy()
        else:
            table.update(
                {f"{name}_{index}": column.numpy() for index, column in enumerate(values.flatten(1).T)}
            )
    frame = pd.DataFrame(table)
    if "prediction" in frame and len(class_values):
        frame["prediction"] = [class_values[index] for index in frame["prediction"]]
    return frame
