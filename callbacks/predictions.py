"""predictions.csv: one row per sample; PNG files, NumPy files and predictions.pt: what is no table."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pandas.api.types import is_string_dtype
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
from callbacks.prediction_files import (
    FOLDER,
    are_images,
    as_cells,
    file_stem,
    in_words,
    is_cells,
    scale_of,
    write_array,
    write_images,
)
from callbacks.prediction_positions import by_position, has_positions, names_of_classes, one_row_per_position
from callbacks.staging import put_in_place, staging

NAMES = ("predictions.csv", "submission.csv", "predictions.pt", FOLDER)
EARLIER = "earlier_predictions"


class PredictionWriter(Callback):
    """Collects what `predict_step` returns, from all processes, and writes it as a table.

    `predict_step` returns named columns: tensors (N,), or (N, K), which become K columns `name_0`, `name_1`, ..., or N
    words (a single value is called `prediction`, several of a tuple `prediction_0`, ...). A class for each position of a
    sequence has a row for each position, see `by_position`. What else has more than 128 numbers
    for each row goes into the folder predictions: masks (N, H, W) and images (N, 1 or 3, H, W) as PNG files, whose
    names are then the column, other arrays as `name.npy`. Whatever has another form is saved in predictions.pt: a list
    with a mapping for each batch. It uses four values of the data module (see `spec_of`): `id_name`, the heading of the
    samples' ids, (N,) or N words, which are then the second entry of a batch (without it, they are numbered);
    `class_values`, the source's values for class 0, 1, ...; `target_name`, a list of names for the K columns of
    `prediction`, instead of their numbers; and `submission_columns`, for a second table, submission.csv,
    with these columns under other headings. Of several loaders, the column `dataloader` has the number.

    Files of an earlier prediction move to the folder earlier_predictions, unless all of them are the same.

    Args:
        folder: where the table goes.

    `written` holds the paths of the written files, `lines` what to say about each, by a short name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[Path] = []
        self.lines: dict[str, str] = {}
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
        if not has_steps(found.columns):
            columns = by_position(found.columns, batch)
            found.columns = {name: as_cells(column) for name, column in columns.items()}
        self._batches.append(found)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        shares = self._gather(trainer)
        self._batches = []
        if not trainer.is_global_zero:
            return
        batches = [batch for share in shares for batch in share]
        only_whole_columns(batches)
        numbers = sorted({batch.loader for batch in batches})
        loaders = {
            number: rows for number in numbers if (rows := rows_of(shares, number)) and len(rows["id"])
        }
        rest = [{"dataloader": each.loader, **each.rest} for each in batches if each.rest]
        self.written, self.lines = [], {}
        if not loaders and not rest:
            return
        with staging(self.folder) as staged:
            self._write_tables(staged, loaders, spec_of(trainer.datamodule))
            if rest:
                self._note("predictions.pt")
                with replacing(staged / "predictions.pt") as temporary, temporary.open("wb") as file:
                    torch.save(rest, file)
            earlier = put_in_place(staged, self.folder, NAMES, EARLIER)
        if earlier is not None:
            self.lines["earlier predictions"] = str(earlier)

    def _write_tables(self, staged: Path, loaders: dict[int, dict[str, Any]], spec: Any) -> None:
        """The table, and what its columns need besides."""
        if not loaders:
            return
        self._note("predictions.csv")
        self._write_cells(staged, loaders)
        tables = {
            number: to_table(one_row_per_position(columns), names_of_classes(columns, spec))
            if has_positions(columns)
            else to_table(columns, spec.class_values, spec.target_name)
            for number, columns in loaders.items()
        }
        if len(tables) > 1:
            for number, table in tables.items():
                table.insert(0, "dataloader", number)
        whole = pd.concat(tables.values(), ignore_index=True)
        whole = whole.rename(columns={"id": spec.id_name or "index"})
        write_table(staged / "predictions.csv", whole)
        headings = spec.submission_columns
        if headings and set(headings) <= set(whole.columns):
            self._note("submission.csv")
            write_table(staged / "submission.csv", whole[list(headings)].rename(columns=headings))

    def _write_cells(self, staged: Path, loaders: dict[int, dict[str, Any]]) -> None:
        """Write what has an array for each row; in the place of images, the names of their files become the column."""
        for name in [name for name, column in next(iter(loaders.values())).items() if is_cells(column)]:
            cells = [cell for columns in loaders.values() for cell in columns[name]]
            images, scale, stem = are_images(name, cells), scale_of(cells), file_stem(name)
            if images:
                for number, columns in loaders.items():
                    own = stem if len(loaders) == 1 else f"{stem}_{number}"
                    ids = columns["id"].tolist() if isinstance(columns["id"], Tensor) else columns["id"]
                    columns[name] = write_images(staged, own, columns[name], ids, scale)
                self._note(FOLDER, f"{len(cells)} images{in_words(scale)}", name)
            if not images or in_words(scale):  # else the images have the values up to a level of gray
                shape = write_array(staged, stem, cells)
                self._note(f"{FOLDER}/{stem}.npy", f"{list(shape)}, a row for each of the table")
            if not images:
                for columns in loaders.values():
                    del columns[name]

    def _note(self, name: str, words: str = "", key: str = "") -> None:
        """A file of the result, and what to say about it."""
        path = self.folder / name
        self.written.append(path)
        self.lines[key or path.name.removesuffix(".csv")] = f"{path} ({words})" if words else str(path)

    def _gather(self, trainer: Trainer) -> list[list[Predicted]]:
        """The batches of each process; only the first process gets them."""
        if trainer.world_size == 1:
            return [self._batches]
        shares: list[Any] | None = [None] * trainer.world_size if trainer.is_global_zero else None
        torch.distributed.gather_object(self._batches, shares)
        return shares or []


def rows_of(shares: Sequence[Sequence[Predicted]], loader: int) -> dict[str, Any]:
    """The columns of one loader, with the ids, from the batches of all processes; empty if there are none."""
    own = [[batch.columns for batch in share if batch.loader == loader and batch.columns] for share in shares]
    batches = own[0] if len(own) == 1 else interleaved(own)
    if not batches:
        return {}
    columns = {name: joined([batch[name] for batch in batches]) for name in batches[0]}
    if "id" not in columns:
        columns = {"id": torch.arange(len(next(iter(columns.values())))), **columns}
    return one_row_per_step(columns) if has_steps(columns) else columns


def has_steps(columns: Mapping[str, Any]) -> bool:
    """Whether each row has an id for each of its steps, as the forecasts of a series have."""
    return isinstance(columns.get("id"), Tensor) and columns["id"].ndim == 2


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write it without numbers of the rows."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


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


def to_table(
    columns: dict[str, Any], class_values: Any = (), output_names: str | Sequence[str] = ()
) -> pd.DataFrame:
    """Columns (N,) unchanged, columns (N, ...) as one column per number.

    Args:
        columns: by name.
        class_values: by which the classes of the column `prediction` are replaced.
        output_names: for the columns of a `prediction` (N, K), if there are K different ones; else numbers.
    """
    table: dict[str, Any] = {}
    for name, values in columns.items():
        if isinstance(values, list):
            table[name] = values
        elif values.ndim == 1:
            table[name] = values.numpy()
        else:
            flat = values.flatten(1).T
            is_named = name == "prediction" and len(flat) == len(set(output_names)) == len(output_names)
            parts = output_names if is_named and not isinstance(output_names, str) else range(len(flat))
            table |= {f"{name}_{part}": column.numpy() for part, column in zip(parts, flat, strict=True)}
    frame = pd.DataFrame(table)
    if "prediction" in frame and len(class_values) and not is_string_dtype(frame["prediction"]):
        frame["prediction"] = [class_values[index] for index in frame["prediction"]]
    return frame
