"""What a run needs in addition to what Lightning saves: random states, and the epoch's sums so far."""

import random
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from runtime import private
from runtime.private import LoggedMetadata, LoggedSync, LoggedValue

SUMS = {"value", "cumulated_batch_size"}
# The arguments of `self.log`, as far as they are plain values.
LOGGED = (
    "fx",
    "name",
    "prog_bar",
    "logger",
    "on_step",
    "on_epoch",
    "enable_graph",
    "add_dataloader_idx",
    "dataloader_idx",
    "metric_attribute",
)


def random_states(device: torch.device) -> dict[str, Any]:
    """States of the generators of Python, NumPy, PyTorch and the GPU, in types that load without running code."""
    _, keys, *rest = np.random.get_state(legacy=True)
    states = {
        "python": random.getstate(),
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Set all generators to the states that `random_states` returned."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    keys, *rest = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def epoch_sums(trainer: Trainer, pl_module: LightningModule, epoch_is_over: bool) -> dict[str, Any]:
    """What this process has summed up: in torchmetrics objects, and by `self.log(..., on_epoch=True)`.

    If the epoch is over, Lightning is about to reset everything that was logged. `latest` holds the values logged
    last; callbacks and schedules read the one they monitor there.
    """
    results = private.logged_values(trainer)
    logged = {key: each for key, each in results.items() if each.meta.on_epoch and not each.has_reset}
    reset_soon = [id(each.value) for each in logged.values()] if epoch_is_over else []
    metrics = {
        name: metric_state(module)
        for name, module in pl_module.named_modules()
        if isinstance(module, Metric) and private.metric_updates(module) and id(module) not in reset_soon
    }
    return {
        "metrics": metrics,
        "logged": {} if epoch_is_over else {key: logged_state(each) for key, each in logged.items()},
        "latest": {name: on_cpu(value) for name, value in trainer.callback_metrics.items()},
    }


def restore_epoch_sums(sums: dict[str, Any], trainer: Trainer) -> None:
    """Let the epoch continue the sums that `epoch_sums` returned."""
    pl_module = trainer.lightning_module
    modules = dict(pl_module.named_modules())
    for name, state in sums["metrics"].items():
        metric = modules[name]
        values = {key: on_device(value, metric.device) for key, value in state["values"].items()}
        private.restore_metric(metric, values, state["updates"])
    for key, state in sums["logged"].items():
        private.logged_values(trainer)[key] = restored_result(state, trainer, modules)
    # A schedule may wait for a value that is not measured in every epoch.
    latest = {name: on_device(value, trainer.strategy.root_device) for name, value in sums["latest"].items()}
    private.continue_sums(trainer, latest, continued=bool(sums["logged"]))


def restored_result(state: dict[str, Any], trainer: Trainer, modules: dict[str, Any]) -> LoggedValue:
    """The entry that `self.log` would have made."""
    meta = LoggedMetadata(**{name: state[name] for name in LOGGED}, reduce_fx=state["reduce_fx"])
    meta.sync = LoggedSync(
        _should=state["sync_dist"], fn=trainer.strategy.reduce, rank_zero_only=state["rank_zero_only"]
    )
    is_tensor = "value" in state
    result = LoggedValue(meta, is_tensor)
    if is_tensor:
        for name in SUMS & state.keys():
            setattr(result, name, on_device(state[name], trainer.strategy.root_device))
    else:
        result.value = modules[state["metric_attribute"]]
    private.restore_metric(result, {}, updates=1)
    return result


def metric_state(metric: Metric) -> dict[str, Any]:
    """What a torchmetrics object has accumulated, whether or not it is persistent."""
    values = {name: on_cpu(value) for name, value in private.metric_sums(metric).items()}
    return {"values": values, "updates": private.metric_updates(metric)}


def logged_state(result: LoggedValue) -> dict[str, Any]:
    """One logged name: how it was logged, and its sum so far. A torchmetrics object keeps its own sum."""
    meta = result.meta
    state = {name: getattr(meta, name) for name in LOGGED}
    state |= {
        "reduce_fx": meta.reduce_fx.__name__,
        "sync_dist": meta.sync.should,
        "rank_zero_only": meta.sync.rank_zero_only,
    }
    if result.is_tensor:
        state |= {name: on_cpu(getattr(result, name)) for name in SUMS if hasattr(result, name)}
    return state


def on_cpu(value: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
    """The state of a metric on the CPU, where every process can read it."""
    return on_device(value, torch.device("cpu"))


def on_device(value: Tensor | list[Tensor], device: torch.device) -> Tensor | list[Tensor]:
    """The state of a metric, a tensor or a list of tensors, on another device."""
    if isinstance(value, list):
        return [each.detach().to(device) for each in value]
    return value.detach().to(device)
