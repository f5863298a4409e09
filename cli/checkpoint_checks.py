"""What is refused because a checkpoint does not fit the config; the libraries' own errors would not explain it."""

import pydoc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from runtime.commands import train_py
from runtime.errors import UsageError
from runtime.read_checkpoint import VERSION, check_complete, check_types

EXTRA_STATE = "_extra_state"  # PyTorch's name for the entry that a module's `get_extra_state` makes


def check_form(checkpoint: dict[str, Any], path: Path | str) -> None:
    """Refuse what another program saved under the same names; Lightning's own error would not explain it."""
    if VERSION not in checkpoint:
        raise UsageError(f"{path} is not a Lightning checkpoint: it has no `{VERSION}`")
    check_types(checkpoint, path)


def check_architecture(checkpoint: dict[str, Any], path: Path | str, class_path: str) -> None:
    """Refuse a checkpoint whose model class is neither the config's nor one that this extends."""
    saved = str(checkpoint.get("hyper_parameters", {}).get("_class_path", class_path))
    extended = [each.__name__ for each in getattr(pydoc.locate(class_path), "__mro__", ())]
    if saved.split(".")[-1] not in (class_path.split(".")[-1], *extended):
        raise UsageError(
            f"{path} holds a {saved}, but the config asks for a {class_path}; give the run's own config"
        )


def check_shapes(
    checkpoint: dict[str, Any], path: Path | str, model: nn.Module, settings: Mapping[str, Any]
) -> None:
    """Refuse flags that give the network other weights than the checkpoint has, and name both values.

    `settings` are the model's current hyper-parameters.
    """
    if "state_dict" not in checkpoint:  # sharded: the strategy compares it while it loads
        return
    saved, built = (without_extra_state(state) for state in (checkpoint["state_dict"], model.state_dict()))
    if not all(isinstance(weight, torch.Tensor) for weight in saved.values()):
        raise UsageError(f"{path} is not a checkpoint of a network: its `state_dict` holds more than tensors")
    odd = [name for name in {**saved, **built} if shape(saved, name) != shape(built, name)]
    if not odd:
        return
    hyperparameters = checkpoint.get("hyper_parameters", {})
    lines = [f"{path} does not fit this model"]
    for name in sorted(settings.keys() & hyperparameters.keys() - {"optimizer", "scheduler"}):
        now, then = settings[name], hyperparameters[name]
        if now != then:
            lines.append(f"model.{name} is {now}, and {then} in the checkpoint")
    lines += [f"{name}: {shape(built, name)}, and {shape(saved, name)} in the checkpoint" for name in odd[:3]]
    raise UsageError("\n".join([*lines, "leave these flags out, or train anew with fit"]))


def check_resumable(checkpoint: dict[str, Any], path: Path | str, settings: Mapping[str, Any]) -> None:
    """Refuse to resume if the checkpoint has no optimizer, or another one than the config asks for.

    The optimizer's state, learning rate and schedule come from the checkpoint, so such flags would be ignored, or fail
    later. `settings` are the model's current hyper-parameters.
    """
    check_complete(checkpoint, path)
    saved = checkpoint.get("hyper_parameters", {})
    for name in ("optimizer", "scheduler"):
        if (
            name in saved
            and name in settings
            and (then := nested(saved[name])) != (now := nested(settings[name]))
        ):
            raise UsageError(
                f"model.{name} is {describe(now, then)}, and {describe(then, now)} in {path}; a run is resumed with the "
                f"{name} that it began with: leave the flag out, or train anew"
            )


def check_length(checkpoint: dict[str, Any], config: Path, max_epochs: int | None) -> None:
    """Refuse to train beyond the fixed step at which a schedule such as OneCycleLR ends."""
    if not any("total_steps" in schedule for schedule in checkpoint.get("lr_schedulers", ())):
        return
    planned = yaml.safe_load(config.read_text(encoding="utf-8"))["trainer"]["max_epochs"]
    if planned and max_epochs and (max_epochs == -1 or max_epochs > planned):
        anew = train_py("fit", "--config", config, "--trainer.max_epochs", max_epochs)
        raise UsageError(
            f"trainer.max_epochs is {max_epochs}, but the learning rate's schedule ends after {planned}; "
            f"leave the flag out, or train anew with: {anew}"
        )


def nested(value: Any) -> Any:
    """Nested mappings and sequences as dicts and lists, which compare by content."""
    if isinstance(value, Mapping):
        return {key: nested(each) for key, each in value.items()}
    return [nested(each) for each in value] if isinstance(value, list | tuple) else value


def describe(value: Any, other: Any) -> str:
    """An optimizer or scheduler with those of its arguments that differ from the other's."""
    if not isinstance(value, dict) or not isinstance(other, dict):
        return value["class_path"] if isinstance(value, dict) else str(value)
    name = value["class_path"].rpartition(".")[2]
    if value["class_path"] != other["class_path"]:
        return name
    mine, others = value.get("init_args", {}), other.get("init_args", {})
    return f"{name}({', '.join(f'{key}={mine[key]}' for key in mine if mine[key] != others.get(key))})"


def without_extra_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The weights and buffers of a state_dict, without what modules return from `get_extra_state`: anything at all."""
    return {name: value for name, value in state.items() if str(name).rpartition(".")[2] != EXTRA_STATE}


def shape(state: dict[str, torch.Tensor], name: str) -> list[int] | str:
    """Shape of a weight, or a note that no weight has this name."""
    return list(state[name].shape) if name in state else "missing"
