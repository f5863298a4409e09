"""Checkpoints are read safely, and compared with the config before anything runs."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cli.errors import UsageError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load plain data only; tensors stay on disk until they are needed.

    Raises:
        UsageError: where the file is damaged, no Lightning checkpoint, or carries code.
    """
    if not zipfile.is_zipfile(path):  # what torch.save writes; a truncated one is none any more
        raise UsageError(f"{path} is damaged or no checkpoint; take another from its folder")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise UsageError(
            f"{path} holds more than numbers and plain values (it may carry code); it is not loaded"
        ) from None
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{path} is damaged or no checkpoint ({reason}); take another from its folder"
        ) from None
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise UsageError(f"{path} is not a Lightning checkpoint: it has no `state_dict`")
    return checkpoint


def check_architecture(checkpoint: dict[str, Any], path: Path | str, class_path: str) -> None:
    """Refuse a checkpoint of another class than the config's."""
    saved = checkpoint.get("hyper_parameters", {}).get("_class_path", class_path)
    if saved.split(".")[-1] != class_path.split(".")[-1]:
        raise UsageError(
            f"{path} holds a {saved}, but the config asks for a {class_path}; give the run's own config"
        )


def check_shapes(
    checkpoint: dict[str, Any], path: Path | str, model: nn.Module, settings: Mapping[str, Any]
) -> None:
    """Refuse flags that give the network other weights than the checkpoint has, and name both values.

    `settings` are the model's hyper-parameters now.
    """
    saved, built = checkpoint["state_dict"], model.state_dict()
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


def shape(state: dict[str, torch.Tensor], name: str) -> list[int] | str:
    """Shape of a weight, or that there is none of this name."""
    return list(state[name].shape) if name in state else "missing"
