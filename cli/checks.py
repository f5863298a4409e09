"""What is refused after PyTorch is imported, from reading the flags to the first step.

What needs no PyTorch is refused earlier, in `cli/request.py`, before seconds of imports.
"""

import inspect
import os
import pydoc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jsonargparse import Namespace
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import StrategyRegistry
from pytorch_lightning.utilities.model_helpers import is_overridden

from cli.checkpoint_checks import (
    check_architecture,
    check_form,
    check_length,
    check_resumable,
    check_shapes,
)
from cli.monitor_checks import check_logged
from cli.options import FROM_DATA
from cli.run_paths import existing_checkpoint
from cli.wrong_values import allows_null, argument_type, wrong_value
from lit_models.base import LitModel
from runtime.direction import mode_of
from runtime.errors import UsageError, closest

if TYPE_CHECKING:
    from cli.build import Run

# The smallest values that make sense. Lightning divides by some of them, and ignores a negative bound silently.
AT_LEAST = {
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "log_every_n_steps": 1,
    "num_nodes": 1,
    "gradient_clip_val": 0,
}
MAX_NAME = 255  # bytes in the name of a folder, on nearly all file systems


def check_settings(settings: Namespace, checkpoint: dict[str, Any] | None) -> None:
    """Refuse what cannot work with any model, before any class is made."""
    check_seed(settings.seed_everything)
    if checkpoint is not None:
        check_form(checkpoint, settings.ckpt_path)
        check_architecture(checkpoint, settings.ckpt_path, settings.model.class_path)
    if settings.get("data") is None and settings.model.get("init_args", {}).get("in_shape", ()) is None:
        raise UsageError("the config has no data; add --data TitanicDataModule, or a `data:` to it")
    for name in ("model", "data"):
        if settings.get(name) is not None:
            check_null(name, settings[name])


def check_null(name: str, settings: Namespace) -> None:
    """Refuse null for an argument of a class that takes none; jsonargparse does so for other settings only."""
    of_class: Any = pydoc.locate(settings.class_path)
    for key, value in settings.get("init_args", {}).items():
        expected = argument_type(of_class, key) if value is None and key not in FROM_DATA else Any
        if not allows_null(expected):
            raise UsageError(f"{name}.{key}: {wrong_value('null', expected)}")


def find_pretrained(model: Namespace) -> None:
    """Let `pretrained` of a LitModel be a checkpoint's path if it names a run, or refuse it if there is none."""
    path, kind = model.get("init_args.pretrained"), pydoc.locate(model.class_path)
    if isinstance(path, str) and isinstance(kind, type) and issubclass(kind, LitModel):
        model.init_args.pretrained = str(existing_checkpoint(path, f"--model.pretrained {path}"))


def check_checkpoint(run: "Run") -> None:
    """Refuse a checkpoint that does not fit the model, or from which `fit` cannot resume."""
    if run.checkpoint is None:
        return
    path = run.settings.ckpt_path
    check_shapes(run.checkpoint, path, run.model, run.model.hparams)
    if run.request.command == "fit":
        check_resumable(run.checkpoint, path, run.model.hparams)
    if run.resumed:
        check_length(run.checkpoint, run.folder / "config.yaml", run.settings.trainer.max_epochs)


def check_run_name(name: str) -> None:
    """Refuse a run folder outside `runs`, and one whose name is too long."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UsageError(
            f"--run_name is {name}; it is a folder below runs/, without / in front and without .."
        )
    if any(len(os.fsencode(part)) > MAX_NAME for part in Path(name).parts):
        raise UsageError(
            f"--run_name has {len(name)} characters; a folder's name can have at most {MAX_NAME} bytes"
        )


def check_seed(seed: int | bool | None) -> None:
    """Refuse a seed that NumPy does not accept."""
    if seed is not None and not 0 <= seed < 2**32:
        raise UsageError(f"--seed_everything is {seed}; a seed must be from 0 to 4294967295")


def check_learning_rate(model: Namespace, words: Sequence[str]) -> None:
    """Refuse a learning rate that has no effect because the schedule has another one, `max_lr`.

    A flag overrides a config. Within configs neither overrides the other: the optimizer's rate must equal `max_lr`, or
    be the default that every complete config contains. If `max_lr` wins, the optimizer's rate is set to it, so that
    the run's config.yaml shows one rate.

    Args:
        model: the settings of the model; the optimizer's rate may be changed.
        words: of the command line.
    """
    rate, peak = (
        model.get(f"init_args.{name}") for name in ("optimizer.init_args.lr", "scheduler.init_args.max_lr")
    )
    peaks = peak if isinstance(peak, list) else [peak]  # PyTorch takes one for each group of parameters
    if rate is None or peak is None or rate in peaks:
        return
    flags = [word.replace("init_args.", "").partition("=")[0] for word in words]
    peak_is_flag = any(flag.startswith("--model.scheduler") for flag in flags)
    optimizer, scheduler = model.init_args.optimizer, model.init_args.scheduler
    make_optimizer: Any = pydoc.locate(optimizer.class_path)
    lr = inspect.signature(make_optimizer).parameters.get("lr")
    is_default = lr is not None and rate == lr.default
    if "--model.optimizer.lr" in flags or not (peak_is_flag or is_default):
        name = scheduler.class_path.rpartition(".")[2]
        raise UsageError(
            f"model.optimizer.lr {rate} has no effect: model.scheduler.max_lr is {peak}, and {name} follows that; "
            "leave max_lr out, or give the rate as model.scheduler.max_lr"
        )
    optimizer.init_args.lr = max(peaks)


def check_trainer(config: Namespace) -> None:
    """Refuse numbers with which no training can run, and devices that do not exist."""
    for name, least in AT_LEAST.items():
        value = config.get(name)
        if value is not None and not value >= least:
            raise UsageError(f"--trainer.{name} is {value}; it must be at least {least}")
    interval = config.val_check_interval
    if isinstance(interval, int | float) and not interval > 0:
        raise UsageError(f"--trainer.val_check_interval is {interval}; it must be above 0")
    check_name("accelerator", config.accelerator, [*AcceleratorRegistry, "auto", "gpu"])
    check_name("strategy", config.strategy, [*StrategyRegistry, "auto"])
    check_devices(config.accelerator, config.devices)


def check_callbacks(callbacks: Sequence[Callback]) -> None:
    """Refuse two callbacks whose states a checkpoint could not tell apart."""
    seen = set()
    for callback in callbacks:
        if not is_overridden("state_dict", callback, Callback):
            continue
        if callback.state_key in seen:
            name, _, settings = callback.state_key.partition("{")
            name, alike = name.rpartition(".")[2], f" with {{{settings}" if settings else ""
            remedy = "let them differ in these" if settings else "give their class a `state_key` that differs"
            raise UsageError(
                f"trainer.callbacks has two {name}{alike}; a checkpoint could not tell their states apart: "
                f"leave one out, or {remedy}"
            )
        seen.add(callback.state_key)


def check_name(option: str, value: object, known: Sequence[str]) -> None:
    """Refuse a name that Lightning does not know, if another one is near; for others its own error has the list."""
    name, _, number = str(value).partition(":")
    if not isinstance(value, str) or value in known or (close := closest(name, known)) is None:
        return
    device = f" and --trainer.devices [{number}]" if number.isdecimal() and option == "accelerator" else ""
    raise UsageError(f"--trainer.{option} is {value}; write --trainer.{option} {close}{device}")


def check_devices(accelerator: Any, devices: object) -> None:
    """Refuse a GPU that does not exist, and more processes than cores, because each has a copy of everything."""
    found = torch.accelerator.is_available()
    if accelerator in ("gpu", "cuda") and not found:
        raise UsageError(f"--trainer.accelerator is {accelerator}, but PyTorch finds no GPU; use auto or cpu")
    known = AcceleratorRegistry[accelerator]["accelerator"] if accelerator in AcceleratorRegistry else None
    if known is not None and not known.is_available():
        raise UsageError(
            f"--trainer.accelerator is {accelerator}, but this machine has none; use auto or cpu"
        )
    if (accelerator != "cpu" and (accelerator != "auto" or found)) or str(devices) == "auto":
        return
    cores, number = max(os.cpu_count() or 1, 2), str(devices)
    if not number.isdecimal() or int(number) < 1:
        raise UsageError(
            f"--trainer.devices is {number}; on the processor it is a number of processes, or auto"
        )
    if int(number) > cores:
        raise UsageError(
            f"--trainer.devices is {number}, but this machine has no GPU and {cores} cores; give fewer"
        )


def check_monitor(run: "Run") -> None:
    """Refuse to choose best.ckpt by a metric that is not logged, or whose best value may be either end."""
    callbacks = [*run.config_init.trainer.callbacks, *run.added_callbacks]
    check_logged(run.settings.monitor, run.model, callbacks)
    if run.request.command == "fit" and run.settings.trainer.enable_checkpointing is not False:
        mode_of(run.settings, run.model)


def check_cluster(trainer: Trainer) -> None:
    """Refuse to wait for processes that nobody starts, or at a port that does not exist."""
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if environment is None:
        return
    port = os.environ.get("MASTER_PORT", "1")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"MASTER_PORT is {port!r}; it must be a number from 1 to 65535, or not be set")
    alone = isinstance(environment, LightningEnvironment) and "MASTER_ADDR" not in os.environ
    if trainer.num_nodes > 1 and alone:
        raise UsageError(
            f"--trainer.num_nodes is {trainer.num_nodes}, but no launcher such as srun or torchrun started this "
            "process, and MASTER_ADDR is not set"
        )
