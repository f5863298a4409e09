"""`out_of_fold.csv` of a cross-validation: every row of the data, predicted by the network that was not trained on it."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from callbacks.data_spec import spec_of
from callbacks.files import replacing, write_whole
from callbacks.predictions import to_table
from cli.predicted_rows import Collector, predict_split
from cli.request import evaluation_request
from lit_models.base import LitModel
from lit_models.metrics import measured, names_in
from runtime.tables import number, print_table
from sweeps.plan import Plan
from sweeps.run_all import SUMMARY
from sweeps.space import is_fold
from sweeps.summary import settings_table
from sweeps.trials import silence

FILE = "out_of_fold.csv"
MOST_NUMBERS = 100  # in a row of the table; more are no table to read
ONE_DEVICE = ("--trainer.devices=1", "--trainer.num_nodes=1", "--trainer.strategy=auto")


class PooledMetrics(Callback):
    """The model's own metrics over the rows of several folds, each predicted by its own network."""

    def __init__(self) -> None:
        self.metrics: Any = None
        self.names: Sequence[Any] = ()  # of classes

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        if isinstance(pl_module, LitModel):
            if self.metrics is None:
                self.metrics = copy.deepcopy(pl_module.val_metrics)
                self.names = names_in(getattr(trainer, "datamodule", None))
            pl_module.update_metrics(self.metrics.to(pl_module.device), batch)

    def values(self) -> dict[str, float]:
        """Each metric; none of a module that is no LitModel."""
        return {name: float(value) for name, value in measured(self.metrics or {}, self.names).items()}


def write_out_of_fold(plan: Plan, runs: pd.DataFrame) -> None:
    """Write the table of the best setting, or of the only one, once all its folds are trained, and print its metrics.

    Args:
        runs: as `sweeps.summary.runs_table` returns it.
    """
    folds = [axis.flag for axis in plan.replicated if is_fold(axis.flag)]
    if len(folds) != 1:
        return
    best = settings_table(plan, runs)["setting"].iloc[0]
    chosen = runs[(runs["setting"] == best) & (runs["state"] == "complete")]
    if len(chosen) < plan.runs_per_setting:
        return
    others = [*(axis.flag for axis in plan.replicated if axis.flag != folds[0]), "seed"]
    parts, metrics = [], []
    for repeat, same in chosen.groupby(others, sort=False):
        pooled = PooledMetrics()
        told_apart = {
            name: value for name, value in zip(others, repeat, strict=True) if chosen[name].nunique() > 1
        }
        for _, run in same.sort_values("trial").iterrows():
            part = held_out_rows(Path(run["folder"]), pooled)
            part.insert(1, "fold", run[folds[0]])
            parts.append(part.assign(**told_apart))
        metrics.append(pooled.values())
    table = pd.concat(parts, ignore_index=True)
    values = {str(name): float(value) for name, value in pd.DataFrame(metrics).mean().items()}
    keep(plan.folder, table, {"metrics": values, "rows": len(table), "runs": len(chosen)})
    report(plan.folder, table, values, [name for name in others if name in table])


def held_out_rows(folder: Path, pooled: PooledMetrics) -> pd.DataFrame:
    """The rows that a run has held out, with the columns `id` (or `row`), `truth`, and what it predicts.

    Raises:
        UsageError: if its batches have no target.
        ValueError: if there are more numbers to a row than a table can hold.
    """
    collector = Collector()
    checkpoint = folder / "checkpoints" / "best.ckpt"
    words = [f"--ckpt_path={checkpoint}", "--trainer.enable_progress_bar=false", *ONE_DEVICE]
    with silence():
        request = evaluation_request("predict", checkpoint, words, has_config=False, trust=False)
        run = predict_split(request, "val", collector, pooled)
    columns = collector.columns
    if (width := sum(values[0].numel() for values in columns.values())) > MOST_NUMBERS:
        raise ValueError(f"a row would have {width:,} numbers; the most is {MOST_NUMBERS}")
    truth = columns.pop("truth")
    truth = truth.flatten() if truth.numel() == len(truth) else truth
    name, ids = row_ids(run.datamodule, len(truth))
    spec = spec_of(run.datamodule)
    table = to_table({name: ids, "truth": truth, **columns}, output_names=spec.target_name)
    values = spec.class_values
    for name in [name for name in ("truth", "prediction") if name in table and len(values)]:
        table[name] = [values[index] for index in table[name]]
    return table


def row_ids(data: Any, num_rows: int) -> tuple[str, list[Any]]:
    """`id` and the ids of the rows held out, if the data module says them; else `row` and their places in the fold."""
    by_split = getattr(data, "row_ids", None)
    ids = by_split.get("val") if isinstance(by_split, dict) else None
    if ids is None or len(ids) != num_rows:
        return "row", list(range(num_rows))
    return "id", ids.tolist() if isinstance(ids, torch.Tensor | np.ndarray) else list(ids)


def keep(folder: Path, table: pd.DataFrame, found: dict[str, Any]) -> None:
    """Write the table, and add to `sweep.json` what the sweep's page shows."""
    with FileLock(folder / "report.lock"):
        with replacing(folder / FILE) as temporary:
            table.to_csv(temporary, index=False)
        about = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        write_whole(
            folder / SUMMARY, json.dumps({**about, "out_of_fold": found}, indent=1, default=str) + "\n"
        )


def report(folder: Path, table: pd.DataFrame, values: dict[str, float], repeated: list[str]) -> None:
    """Print the pooled metrics, and what is odd about them."""
    rows = {name: number(value) for name, value in values.items()}
    rows |= {"rows": str(len(table)), "table": str(folder / FILE)}
    rows["note"] = (
        "best.ckpt of each fold was chosen on the rows held out, so the figures are a little too good"
    )
    print_table("out of fold: each row predicted by the network that was not trained on it", rows)
    if "id" in table and (twice := int(table.duplicated(["id", *repeated]).sum())):
        rank_zero_warn(f"{twice} rows are held out by more than one fold, so these are no folds of the data")
