"""Who survived the Titanic: the two tables of the Kaggle competition, bundled in `files/`."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from datamodules import titanic_table as tt
from datamodules.base import Split, TensorDataModule, check_choice, check_seed
from datamodules.folds import fold_rows
from datamodules.loader import TensorLoader
from datamodules.spec import DataSpec
from datamodules.table_file import read_table

FILES = Path(__file__).parent / "files"
AXIS_NAMES = {"male": "sex", "Age": "age (years)", "Fare": "fare (pounds)"}
VALUE_NAMES = {"male": ("female", "male")}
KAGGLES_COLUMNS = {"PassengerId": "PassengerId", "prediction": "Survived"}


class TitanicDataModule(TensorDataModule):
    """Survival (1) or death (0) from what the passenger list says.

    Splits. With `num_folds` the 891 labeled rows are cut into the same stratified folds as by scikit-learn's
    `StratifiedKFold(num_folds, shuffle=True, random_state=split_seed)`. Fold number `fold` is held out and
    serves as validation and test split; the others are for training. With `num_folds: null` every row is in
    all three, so the figures are in-sample: they say how well the model fits, not how well it predicts. The
    predict split is the 418 rows of the competition's test table, whose labels are not public.

    Missing values. "drop" removes rows in which a used feature is missing, from all splits but predict: there
    every row gets a prediction, and missing values are filled in as with "impute"; a warning says how many. "impute"
    fills in the median of the training split. A missing cabin is not a missing value but a category, `deck_unknown`.

    Args:
        features: names from `titanic_table.FEATURES`, or "all".
        missing: see above.
        num_folds: how many folds; None for in-sample figures.
        fold: the one held out, from 0.
        split_seed: of the folds.
        csv: a table of your own that validate, test (both need labels) and predict read instead of the
            bundled ones.
        train_csv: a table of your own to train on (and to cut into folds) instead of the bundled one.
        kwargs: see `TensorDataModule`.

    Raises:
        ValueError: for options that do not fit together, and for tables that cannot be read.
    """

    def __init__(
        self,
        *,
        features: str | list[str] = "all",
        missing: Literal["drop", "impute"] = "impute",
        num_folds: int | None = 5,
        fold: int = 0,
        split_seed: int = 0,
        csv: str | None = None,
        train_csv: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.features = tt.feature_names(features)
        self.spec = DataSpec(
            task="binary",
            in_shape=[len(self.features)],
            out_features=1,
            class_names=("died", "survived"),
            feature_names=self.features,
            feature_groups=tt.group_features(self.features),
            axis_names=AXIS_NAMES,
            value_names=VALUE_NAMES,
            id_name="PassengerId",
            submission_columns=KAGGLES_COLUMNS,
            in_sample=num_folds is None,
        )
        check_choice("data.missing", missing, ["drop", "impute"])
        if num_folds is not None and num_folds < 2:
            raise ValueError(
                f"data.num_folds is {num_folds}; it must be at least 2 (or null for in-sample figures)"
            )
        if num_folds is not None and not 0 <= fold < num_folds:
            raise ValueError(
                f"data.fold is {fold}; with data.num_folds {num_folds} it must be 0 to {num_folds - 1}"
            )
        check_seed("data.split_seed", split_seed)
        self.missing = missing
        self.num_folds = num_folds
        self.fold = fold
        self.split_seed = split_seed
        self.csv = csv
        self.train_csv = train_csv
        self.no_labels = ""  # why `csv` cannot be evaluated
        self.left_out: dict[str | Path, str] = {}  # by table: how many of its rows "drop" has removed

    def setup(self, stage: str | None = None) -> None:
        if stage == "fit" and self.csv is not None:
            raise ValueError(
                f"data.csv ({self.csv}) is read by validate, test and predict; "
                "to train on it, use data.train_csv"
            )
        super().setup(stage)
        if stage in ("validate", "test") and self.no_labels:
            raise ValueError(f"data.csv cannot be evaluated, only predicted: {self.no_labels}")
        own = {"fit": self.train_csv, "validate": self.csv, "test": self.csv}.get(stage or "fit")
        if own in self.left_out:
            rank_zero_warn(self.left_out.pop(own))

    def load(self) -> dict[str, Split]:
        x, y, ids = self._labeled(FILES / "train.csv" if self.train_csv is None else self.train_csv)
        train_rows, held_out_rows = self._split(y)
        self.row_ids = dict.fromkeys(("val", "test"), ids[held_out_rows])
        held_out = (x[held_out_rows], y[held_out_rows])
        splits: dict[str, Split] = {"train": (x[train_rows], y[train_rows])}
        if self.csv is None:
            return splits | {
                "val": held_out,
                "test": held_out,
                "predict": self._unlabeled(FILES / "test.csv"),
            }
        splits["predict"] = self._unlabeled(self.csv)
        try:
            x, y, ids = self._labeled(self.csv)
            splits["val"] = splits["test"] = x, y
            self.row_ids = dict.fromkeys(("val", "test"), ids)
        except ValueError as error:  # matters only if the table is to be evaluated
            self.no_labels = str(error)
        return splits

    def fit_statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """As in the base class, on rows whose missing values are filled in; `fill` (F,) holds the values used."""
        unknown = [name for name, known in zip(self.features, ~x.isnan().all(0), strict=True) if not known]
        if unknown:
            raise ValueError(
                f"no row of the training split gives {', '.join(unknown)}; leave it out of data.features"
            )
        fill = torch.from_numpy(np.nanmedian(x.numpy(), axis=0))
        return super().fit_statistics(_filled(x, fill), y) | {"fill": fill}

    def predict_dataloader(self) -> TensorLoader:
        x, _ = self.splits["predict"]
        missing = x.isnan()
        if self.missing == "drop" and missing.any():
            values = zip(
                self.features, self.statistics["fill"].tolist(), missing.any(0).tolist(), strict=True
            )
            filled = ", ".join(f"{name} {value:.4g}" for name, value, is_filled in values if is_filled)
            rank_zero_warn(
                f"{int(missing.any(1).sum())} of {len(x)} rows of {self.csv or 'the test table'} have missing values; "
                f"they are predicted with the medians of the training split ({filled}), although with "
                "data.missing drop the network has learned from complete rows only"
            )
        return super().predict_dataloader()

    def prepare_inputs(self, x: Tensor) -> Tensor:
        return super().prepare_inputs(_filled(x, self.statistics["fill"].to(x.device)))

    def _labeled(self, path: str | Path) -> tuple[Tensor, Tensor, Tensor]:
        """Features (N, F) with NaN where a value is missing, labels (N,) and ids (N,)."""
        table = read_table(path)
        with _naming(path):
            x = torch.from_numpy(tt.feature_matrix(table, self.features))
            y = torch.from_numpy(tt.labels(table))
        ids = torch.arange(1, len(x) + 1)
        with suppress(ValueError):  # training needs no ids
            ids = torch.from_numpy(tt.passenger_ids(table))
        if self.missing == "impute":
            return x, y, ids
        complete = ~x.isnan().any(1)
        if not complete.any():
            raise ValueError(f"{path} has no row without a missing value; use data.missing impute")
        if not complete.all():
            self.left_out[path] = (
                f"{int((~complete).sum())} of {len(x)} rows of {path} have missing values and are left out, because "
                "data.missing is drop"
            )
        return x[complete], y[complete], ids[complete]

    def _unlabeled(self, path: str | Path) -> Split:
        """Features (N, F) of every row, and the ids of the rows (N,)."""
        table = read_table(path)
        with _naming(path):
            x = torch.from_numpy(tt.feature_matrix(table, self.features))
            if "PassengerId" in table.columns:
                return x, torch.from_numpy(tt.passenger_ids(table))
        self.spec = replace(self.spec, id_name="row")
        return x, torch.arange(1, len(x) + 1)

    def _split(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Row numbers for training, and row numbers held out."""
        if self.num_folds is None:
            return torch.arange(len(y)), torch.arange(len(y))
        rarest = int(y.bincount(minlength=2).min())
        if rarest < self.num_folds:
            raise ValueError(
                f"data.num_folds is {self.num_folds}, but the rarer class has {rarest} rows; take fewer folds, or null"
            )
        rows = fold_rows(len(y), self.num_folds, self.fold, seed=self.split_seed, stratify=y)
        return rows["train"], rows["val"]


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Put the file's name in front of the message of a ValueError."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _filled(x: Tensor, fill: Tensor) -> Tensor:
    return torch.where(x.isnan(), fill, x)
