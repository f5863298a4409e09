"""Every private name that is relied on is there, with the parameters that it is called with."""

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningCLI
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loops import _TrainingEpochLoop
from pytorch_lightning.loops.fit_loop import _FitLoop
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.trainer.connectors.logger_connector.result import _Metadata, _ResultCollection, _Sync
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow
from torch.utils.tensorboard import SummaryWriter
from torchmetrics import MeanMetric

from runtime import private

ROOT = Path(__file__).parents[2]
METHODS: list[tuple[Any, str, list[str]]] = [
    (_TrainingEpochLoop, "__init__", ["self", "trainer", "min_steps", "max_steps"]),
    (_TrainingEpochLoop, "advance", ["self", "data_fetcher"]),
    (_TrainingEpochLoop, "on_run_start", ["self", "data_fetcher"]),
    (_TrainingEpochLoop, "on_advance_end", ["self", "data_fetcher"]),
    (_TrainingEpochLoop, "update_lr_schedulers", ["self", "interval", "update_plateau_schedulers"]),
    (_TrainingEpochLoop, "_on_before_fetch", ["self"]),
    (_TrainingEpochLoop, "_build_kwargs", ["self", "kwargs", "batch", "batch_idx"]),
    (_TrainingEpochLoop, "_should_accumulate", ["self"]),
    (_TrainingEpochLoop, "_should_check_val_fx", ["self", "data_fetcher"]),
    (_TrainingEpochLoop, "_num_ready_batches_reached", ["self"]),
    (_TrainingEpochLoop, "_save_loggers_on_train_batch_end", ["self"]),
    (_FitLoop, "_load_combined_loader_states", ["self"]),
    (Precision, "_clip_gradients", ["self", "model", "optimizer", "clip_val", "gradient_clip_algorithm"]),
    (
        MixedPrecision,
        "_clip_gradients",
        ["self", "model", "optimizer", "clip_val", "gradient_clip_algorithm"],
    ),
    (pl.LightningModule, "_on_before_batch_transfer", ["self", "batch", "dataloader_idx"]),
    (ModelCheckpoint, "_save_checkpoint", ["self", "trainer", "filepath"]),
    (LightningCLI, "_add_instantiators", ["self"]),
    (LightningCLI, "_dump_config", ["self"]),
    (private.Closure, "__init__", ["self", "step_fn", "backward_fn", "zero_grad_fn"]),
    (private.LoggedValue, "__init__", ["self", "metadata", "is_tensor"]),
    (_ResultCollection, "__init__", ["self", "training"]),
    (_Sync, "__init__", ["self", "fn", "_should", "rank_zero_only", "_op", "_group"]),
]


@pytest.mark.parametrize(
    ("owner", "name", "parameters"), METHODS, ids=lambda each: getattr(each, "__name__", "")
)
def test_method(owner: Any, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters


@pytest.fixture(scope="module")
def trainer() -> pl.Trainer:
    return pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)


def test_attributes_of_the_loops(trainer: pl.Trainer) -> None:
    fit_loop = trainer.fit_loop
    for name in ("_restarting", "_skip_backward", "_resuming_from_checkpoint", "_data_fetcher"):
        assert hasattr(fit_loop, name), name
    assert hasattr(fit_loop, "_combined_loader_states_to_load")
    names = ["_restarting", "_results", "_batches_that_stepped", "_warning_cache", "_is_training_done"]
    for name in [*names, "_skip_next_val"]:
        assert hasattr(fit_loop.epoch_loop, name), name
    assert isinstance(
        inspect.getattr_static(_TrainingEpochLoop, "_skip_next_val", None), bool | property | None
    )
    assert fit_loop.epoch_loop.val_loop._module_mode.mode == {}


def test_attributes_of_the_connector(trainer: pl.Trainer) -> None:
    connector = private.logger_connector(trainer)
    assert connector._first_loop_iter is None
    assert connector._callback_metrics == {}
    for name in ("on_batch_end", "update_train_step_metrics"):
        assert list(inspect.signature(getattr(connector, name)).parameters) == []


def test_attributes_of_a_checkpoint_callback() -> None:
    callback = ModelCheckpoint(every_n_train_steps=3)
    assert (callback._every_n_train_steps, callback._train_time_interval) == (3, None)
    assert callback._last_global_step_saved == 0


def test_what_was_logged_is_described_by_these_fields() -> None:
    assert {"fx", "name", "on_step", "on_epoch", "reduce_fx", "metric_attribute"} <= set(
        inspect.signature(_Metadata).parameters
    )
    assert {"add_dataloader_idx", "dataloader_idx"} <= set(inspect.signature(_Metadata).parameters)
    assert list(inspect.signature(_Metadata.forked_name).parameters) == ["self", "on_step"]


def test_a_module_knows_the_hook_that_it_runs() -> None:
    assert vars(pl.LightningModule())["_current_fx_name"] is None


def test_a_metric_can_be_restored() -> None:
    metric, other = MeanMetric(), MeanMetric()
    metric.update(3.0)
    metric.update(5.0)
    private.restore_metric(other, private.metric_sums(metric), private.metric_updates(metric))
    assert other.compute() == 4.0
    assert private.metric_updates(other) == 2


def test_tensorboard_has_a_checksum_to_replace_and_a_writer_of_events(tmp_path: Path) -> None:
    assert callable(pywrap_tensorflow.crc32c)
    writer = SummaryWriter(str(tmp_path))
    assert list(inspect.signature(writer.file_writer.add_summary).parameters) == [
        "summary",
        "global_step",
        "walltime",
    ]
    writer.close()
    assert writer.file_writer is None
    assert private.event_file(writer) is writer.file_writer is not None  # made anew
    writer.close()
    assert TensorBoardLogger(str(tmp_path), prefix="mine")._prefix == "mine"


def test_no_other_module_imports_a_private_name() -> None:
    """Attributes are ruff's part (SLF001); this is about imports."""
    found = []
    for package in ("callbacks", "datamodules", "lit_models", "runtime", "sweeps", "pages", "cli"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and any(
                    part.startswith("_") and part != "__future__"
                    for name in node.names
                    for part in [*(node.module or "").split("."), name.name]
                ):
                    found.append(path.name)
    assert found == ["private.py"] * len(found)
    assert found
