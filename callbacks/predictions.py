"""predictions.csv: one row per sample; predictions.pt: what is no table."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.data_spec import spec_of
from callbacks.files import replacing
from callbacks.prediction_columns import (
    Column,
    Predicted,
    as_column,
    joined,
    only_whole_columns,
    predicted,
)


class PredictionWriter(Callback):
    """Collects what `predict_step` returns, from all processes, and writes it as a table.

    `predict_step` returns named columns: tensors (N,), or (N, K), which become K columns `name_0`, `name_1`, ..., or N
    words (a single value is called `prediction`, several of a tuple `prediction_0`, ...). Whatever has another form is
    saved in predictions.pt: a list with a mapping for each batch. It uses three values of the data module (see
    `spec_of`): `id_name`, the heading of the samples' ids, (N,) or N words, which are then the second entry of a batch
    (without it, samples are numbered); `class_values`, the source's values for class 0, 1, ...; and
    `submission_columns`, for a second table, submission.csv, with these columns under other headings. Of several
    loaders, the column `dataloader` has the number.

    Args:
        folder: where the table goes.

    `written` holds the paths of the written files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[Path] = []
        self._batches: list[Predicted] = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int = 0,
        dataloader_idx: int = 0,
    ) -> None:
        found = predicted(outputs, batch, dataloader_idx)
        if spec_of(trainer.datamodule).id_name and found.columns:
            found.columns = {"id": as_column(batch[1]), **found.columns}
        self._batches.append(found)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        shares = self._gather(trainer)
        self._batches = []
        if not trainer.is_global_zero:
            return
        only_whole_columns([batch for share in shares for batch in share])
        spec = spec_of(trainer.datamodule)
        numbers = sorted({batch.loader for share in shares for batch in share})
        tables = {number: table_of(shares, number, spec.class_values) for number in numbers}
        if len(tables) > 1:
            for number, table in tables.items():
                table.insert(0, "dataloader", number)
        if any(table.size for table in tables.values()):
            whole = pd.concat(tables.values(), ignore_index=True)
            self._write_tables(whole.rename(columns={"id": spec.id_name or "index"}), spec.submission_columns)
        rest = [{"dataloader": each.loader, **each.rest} for share in shares for each in share if each.rest]
        if rest:
            with replacing(self.folder / "predictions.pt") as temporary:
                torch.save(rest, temporary)
            self.written.append(self.folder / "predictions.pt")

    def _write_tables(self, table: pd.DataFrame, headings: dict[str, str]) -> None:
        self._write(table, "predictions.csv")
        if headings and set(headings) <= set(table.columns):
            self._write(table[list(headings)].rename(columns=headings), "submission.csv")

    def _write(self, table: pd.DataFrame, name: str) -> None:
        with replacing(self.folder / name) as temporary:
            table.to_csv(temporary, index=False)
        self.written.append(self.folder / name)

    def _gather(self, trainer: Trainer) -> list[list[Predicted]]:
        """The batches of each process; only the first process gets them."""
        if trainer.world_size == 1:
            return [self._batches]
        shares: list[Any] | None = [None] * trainer.world_size if trainer.is_global_zero else None
        torch.distributed.gather_object(self._batches, shares)
        return shares or []


def table_of(shares: Sequence[Sequence[Predicted]], loader: int, class_values: Any) -> pd.DataFrame:
    """The table of one loader, from the batches of all processes; without columns if there are none."""
    own = [[batch.columns for batch in share if batch.loader == loader and batch.columns] for share in shares]
    batches = own[0] if len(own) == 1 else interleaved(own)
    if not batches:
        return pd.DataFrame()
    columns = {name: joined([batch[name] for batch in batches]) for name in batches[0]}
    if "id" not in columns:
        columns = {"id": torch.arange(len(next(iter(columns.values())))), **columns}
    if isinstance(columns["id"], Tensor) and columns["id"].ndim == 2:
        columns = one_row_per_step(columns)
    return to_table(columns, class_values)


def interleaved(shares: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
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
        rows = {name: joined([part[name] for _, part in present]) for name in present[0][1]}
        whole.append({name: in_order(column, order) for name, column in rows.items()})
    return whole


def in_order(column: Column, order: Tensor) -> Column:
    """The rows of a column in another order (N,)."""
    return column[order] if isinstance(column, Tensor) else [column[row] for row in order.tolist()]


def one_row_per_step(columns: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn columns (N, H, ...) of forecasts over H steps into columns (N * H, ...), and add the number of the series."""
    num_series, horizon = columns["id"].shape
    series = torch.arange(num_series).repeat_interleave(horizon)
    return {"series": series, **{name: values.flatten(0, 1).squeeze(-1) for name, values in columns.items()}}


def to_table(columns: dict[str, Any], class_values: Any = ()) -> pd.DataFrame:
    """Columns (N,) unchanged, columns (N, ...) as one column per number."""
    table: dict[str, Any] = {}
    for name, values in columns.items():
        if isinstance(values, list):
            table[name] = values
        elif values.ndim == 1:
            table[name] = values.numpy()
        else:
            table.update(
                {f"{name}_{index}": column.numpy() for index, column in enumerate(values.flatten(1).T)}
            )
    frame = pd.DataFrame(table)
    if "prediction" in frame and len(class_values):
        frame["prediction"] = [class_values[index] for index in frame["prediction"]]
    return frame
