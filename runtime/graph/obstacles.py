"""What keeps a training from replaying its steps."""

import pytorch_lightning as pl
import torch

from callbacks.step_hooks import STEP_HOOKS, step_hook
from runtime.graph.device_graph import DeviceGraph
from runtime.graph.optimizer import cannot_be_split

WITHIN_STEP = [name for name in STEP_HOOKS if name not in ("on_train_batch_start", "on_train_batch_end")]


def why_not_captured(trainer: pl.Trainer, graph: type[DeviceGraph]) -> str | None:
    """The reason in words; None if the first steps may show that it works."""
    device = trainer.strategy.root_device
    if device.type != graph.device_type:
        return f"the device is {device}, not {graph.device_type}"
    if torch.is_anomaly_enabled():
        return "detect_anomaly is on"
    if reason := cannot_be_split(trainer.optimizers[0]):
        return reason
    for callback in trainer.callbacks:
        name = next((each for each in WITHIN_STEP if step_hook(callback, each) is not None), None)
        if name and not hasattr(callback, "watches_next_step"):
            return f"{type(callback).__name__} has {name}, which a replay would not call"
    return None


def sees_batches(trainer: pl.Trainer) -> bool:
    """Whether code from elsewhere gets batches and outputs, and might keep them, though a replay overwrites them."""
    owners = [trainer.lightning_module, *trainer.callbacks]
    return any(
        step_hook(owner, name) is not None and not is_known(owner)
        for owner in owners
        for name in ("on_train_batch_start", "on_train_batch_end")
    )


def is_known(owner: object) -> bool:
    """Whether an object is of this project or of Lightning: these keep no batch beyond a step."""
    return type(owner).__module__.partition(".")[0] in ("callbacks", "runtime", "cli", "pytorch_lightning")
