"""Every private name of Lightning and torchmetrics used here: why, and what would replace it.

A new version of a library may change any of them. `tests/runtime/test_private.py` checks each name and signature, so
that a change fails there with one message, and not somewhere during a training.
"""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint, StochasticWeightAveraging, Timer, WeightAveraging
from pytorch_lightning.core.module import _jit_is_scripting as without_properties
from pytorch_lightning.loops.fetchers import _DataFetcher as DataFetcher
from pytorch_lightning.loops.fetchers import _PrefetchDataFetcher as PrefetchDataFetcher
from pytorch_lightning.loops.fit_loop import _FitLoop as FitLoop
from pytorch_lightning.loops.optimization.automatic import Closure, ClosureResult
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop as TrainingEpochLoop
from pytorch_lightning.trainer.connectors.logger_connector.result import _Metadata as LoggedMetadata
from pytorch_lightning.trainer.connectors.logger_connector.result import _ResultCollection as LoggedValues
from pytorch_lightning.trainer.connectors.logger_connector.result import _ResultMetric as LoggedValue
from pytorch_lightning.trainer.connectors.logger_connector.result import _Sync as LoggedSync
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torchmetrics import Metric

__all__ = [
    "Closure",
    "ClosureResult",
    "DataFetcher",
    "FitLoop",
    "LoggedMetadata",
    "LoggedSync",
    "LoggedValue",
    "LoggedValues",
    "PrefetchDataFetcher",
    "TrainingEpochLoop",
    "without_properties",  # while a module is traced, which reads all its properties, also those that need a Trainer
]

# --- the loop over the batches of an epoch; would be replaced by: a public loop to subclass ---


def skips_backward(trainer: pl.Trainer) -> bool:
    """Whether an epoch has no backward passes (as when averaging weights)."""
    return trainer.fit_loop._skip_backward


def forget_arguments(loader: Any) -> None:
    """Let Lightning rebuild a DataLoader from its attributes; from positional arguments, it fails for predictions."""
    vars(loader).pop("__pl_saved_args", None)


def before_transfer(model: pl.LightningModule, batch: Any) -> Any:
    """What the module's hook returns for a batch before it is moved to the device."""
    return model._on_before_batch_transfer(batch, dataloader_idx=0)


def clip_gradients(trainer: pl.Trainer, optimizer: Any) -> None:
    """Call the module's `configure_gradient_clipping` with the Trainer's settings."""
    clipping = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
    trainer.precision_plugin._clip_gradients(trainer.lightning_module, optimizer, *clipping)


def call_before_fetch(trainer: pl.Trainer, call: Callable[[Callable[[], None]], None]) -> None:
    """Run `call(original)` instead of what the loop does just before it fetches a batch."""
    loop = trainer.fit_loop.epoch_loop
    original = loop._on_before_fetch
    loop._on_before_fetch = lambda: call(original)


def call_nothing_before_fetch(trainer: pl.Trainer) -> None:
    """Undo `call_before_fetch`."""
    vars(trainer.fit_loop.epoch_loop).pop("_on_before_fetch", None)


def accumulates(trainer: pl.Trainer) -> bool:
    """Whether gradients of earlier batches wait for the next optimizer step."""
    return trainer.fit_loop.epoch_loop._should_accumulate()


def is_within_batch(trainer: pl.Trainer) -> bool:
    """Whether a batch was begun whose last hook, `on_train_batch_end`, has not ended yet."""
    batches = trainer.fit_loop.epoch_loop.batch_progress.current
    return batches.completed < batches.ready


def logged_steps(trainer: pl.Trainer) -> int:
    """The step at which Lightning logs next. `global_step` is larger if several optimizers step for each batch."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped


# --- resuming; would be replaced by: checkpoints that are exact within an epoch ---


def count_as_begun(trainer: pl.Trainer) -> None:
    """Make the loops treat the checkpoint as one written between two epochs."""
    fit_loop = trainer.fit_loop
    for loop in (fit_loop, fit_loop.epoch_loop, fit_loop.epoch_loop.val_loop):
        loop._restarting = False


def count_step_as_done(trainer: pl.Trainer) -> None:
    """Make the resumed epoch begin with the next batch; Lightning would first repeat what follows a validation."""
    loop = trainer.fit_loop.epoch_loop
    original = loop.on_run_start

    def on_run_start(data_fetcher: DataFetcher) -> None:
        del vars(loop)["on_run_start"]
        original(data_fetcher)
        loop.restarting = False

    loop.on_run_start = on_run_start


def leave_no_schedule_out(trainer: pl.Trainer) -> None:
    """Make a ReduceLROnPlateau step at the end of the resumed epoch."""
    trainer.fit_loop._restarting = False


def take_loader_states(trainer: pl.Trainer) -> list[tuple[Any, dict[str, Any]]]:
    """The loaders that save a state, with the one to load: Lightning loses it in two cases.

    They are: the loaders were made before the checkpoint was read, or the checkpoint was written between two epochs.
    """
    fit_loop = trainer.fit_loop
    states, fit_loop._combined_loader_states_to_load = fit_loop._combined_loader_states_to_load, []
    loaders = fit_loop._combined_loader.flattened if fit_loop._combined_loader is not None else []
    return list(zip([each for each in loaders if is_stateful(each)], states, strict=False))


def is_stateful(loader: Any) -> bool:
    """Whether a loader saves its own state."""
    return all(callable(getattr(loader, name, None)) for name in ("state_dict", "load_state_dict"))


def begin_fetching(trainer: pl.Trainer) -> None:
    """Make new iterators of the loaders."""
    iter(trainer.fit_loop._data_fetcher)


def draw_order_now(trainer: pl.Trainer) -> None:
    """Let a DataLoader draw its order at the start of the resumed epoch, not earlier."""
    trainer.fit_loop._resuming_from_checkpoint = False


def resume_averaging(
    callback: StochasticWeightAveraging, trainer: pl.Trainer, module: pl.LightningModule
) -> None:
    """Let the callback continue; Lightning's would begin anew at the next epoch, and change the learning rate then."""
    if callback._scheduler_state is None or callback._initialized:
        return
    groups = trainer.optimizers[0].param_groups
    before = [{name: value for name, value in group.items() if name != "params"} for group in groups]
    callback.on_train_epoch_start(AtEpoch(trainer, callback._latest_update_epoch), module)
    for group, values in zip(groups, before, strict=True):
        group.update(values)
    callback._accumulate_grad_batches = trainer.accumulate_grad_batches  # restored when training ends


def averaged_model(callback: WeightAveraging) -> AveragedModel | None:
    """The copy of the model that holds the average; None outside a training."""
    return callback._average_model


class AtEpoch:
    """A Trainer, as it was in an earlier epoch."""

    def __init__(self, trainer: pl.Trainer, epoch: int) -> None:
        self.trainer, self.current_epoch = trainer, epoch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainer, name)


def batches_ahead(trainer: pl.Trainer) -> int:
    """How many batches were read and not yet used: 1 if Lightning does not know how many there are, else 0."""
    fetched = trainer.fit_loop._data_fetcher.fetched if trainer.fit_loop._data_fetcher else 0
    return int(fetched > trainer.fit_loop.epoch_loop.batch_progress.current.ready)


def spreads_samples(trainer: pl.Trainer) -> bool:
    """Whether Lightning may spread samples over the processes (`use_distributed_sampler`)."""
    return trainer._accelerator_connector.use_distributed_sampler


# --- what `self.log` collects; would be replaced by: a public way to read and restore it ---


def logged_values(trainer: pl.Trainer) -> Any:
    """The values logged in this epoch of training, by hook and name (`LoggedValues`)."""
    return trainer.fit_loop.epoch_loop._results


def collect_evaluations(trainer: pl.Trainer, make: Callable[[], LoggedValues]) -> None:
    """Let what is logged in evaluations be kept in another collection of values."""
    for loop in (trainer.validate_loop, trainer.test_loop, trainer.fit_loop.epoch_loop.val_loop):
        loop._results = make()


def logger_connector(trainer: pl.Trainer) -> Any:
    """The object that writes logged values: `on_batch_end()` and `update_train_step_metrics()`."""
    return trainer._logger_connector


def log_step(trainer: pl.Trainer, names: set[str]) -> None:
    """Write the values of these names for the step that has just been made."""
    connector = trainer._logger_connector
    values = connector.metrics["log"]
    connector.log_metrics({key: value for key, value in values.items() if key.removesuffix("_step") in names})


def logged_now(trainer: pl.Trainer) -> set[str]:
    """Names of what was logged in the loop that is running: in a validation, since it began."""
    names: set[str] = set()
    for meta in (each.meta for each in trainer._results.values() if not each.has_reset):
        numbered = meta.add_dataloader_idx and meta.dataloader_idx is not None
        suffix = f"/dataloader_idx_{meta.dataloader_idx}" if numbered else ""
        names |= {meta.name + suffix, meta.forked_name(on_step=False) + suffix}
    return names


def begin_batch(connector: Any) -> None:
    """Make the connector note whether the batch is the first of the epoch."""
    connector._first_loop_iter = connector._first_loop_iter is None


def continue_sums(trainer: pl.Trainer, latest: dict[str, Any], continued: bool) -> None:
    """Restore the values logged last, and let the next `self.log` add to the epoch's sums, if there are any."""
    connector = trainer._logger_connector
    epoch_is_over = trainer.fit_loop.epoch_progress.current.processed > trainer.current_epoch
    if continued and not epoch_is_over:
        connector._first_loop_iter = True
    connector._callback_metrics.update(latest)


def training_modes(trainer: pl.Trainer) -> dict[str, bool]:
    """For each module, by name, whether it is in training mode when it trains; during a validation none is."""
    modes = trainer.fit_loop.epoch_loop.val_loop._module_mode.mode
    if modes and trainer.validating:
        return dict(modes)
    return {name: each.training for name, each in trainer.lightning_module.named_modules()}


def event_file(writer: Any) -> Any:
    """The file of events of a `SummaryWriter`: a new one if it was closed, as at the end of `fit`, before a `test`.

    It would be replaced by a public way to write a `Summary`.
    """
    return writer._get_file_writer()


# --- the end ---


def seconds_of(timer: Timer) -> float | None:
    """How long a Timer lets a training last; None if it has no limit."""
    return timer._duration


# --- checkpoints ---


def saves_within_epochs(callback: ModelCheckpoint) -> bool:
    """Whether the callback saves after steps or minutes."""
    return bool(callback._every_n_train_steps) or callback._train_time_interval is not None


def let_save_again(callback: ModelCheckpoint) -> None:
    """Make the callback save although `global_step` has not grown, as with optimizers that Lightning does not count."""
    callback._last_global_step_saved = -1


# --- torchmetrics; would be replaced by: a state_dict that includes states that are not persistent ---


def metric_sums(metric: Metric) -> dict[str, Any]:
    """What a metric has accumulated, by name of state."""
    return {name: getattr(metric, name) for name in metric._defaults}


def computed(metric: Metric) -> list[Tensor]:
    """The numbers that a metric has computed since it was last updated or reset."""
    result: Any = metric._computed
    values = result.values() if isinstance(result, dict) else [result]
    return [each for each in values if isinstance(each, Tensor) and each.numel() == 1]


def metric_updates(metric: Metric) -> int:
    """How often the metric was updated since its last reset."""
    return metric._update_count


def restore_metric(metric: Metric, sums: dict[str, Any], updates: int) -> None:
    """Let a metric continue from the results of `metric_sums` and `metric_updates`."""
    for name, value in sums.items():
        setattr(metric, name, value)
    metric._update_count = updates
    metric._computed = None
