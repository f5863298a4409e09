"""Checkpoints are read safely, and compared with the config before anything runs."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import nn

from runtime.errors import UsageError

VERSION = "pytorch-lightning_version"
SHARDED = "meta.pt"  # what Lightning writes beside the shards of a checkpoint that is a folder


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load plain data only; tensors stay on disk until they are needed.

    Of a sharded checkpoint, which is a folder (FSDP), this is what lies beside the shards.

    Raises:
        UsageError: where the file is damaged, no Lightning checkpoint, or carries code.
    """
    sharded = (path / SHARDED).is_file()
    file = path / SHARDED if sharded else path
    if not zipfile.is_zipfile(file):  # what torch.save writes; a truncated one is none any more
        raise UsageError(f"{path} is damaged or no checkpoint; take another from its folder")
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise UsageError(
            f"{path} holds more than numbers and plain values (it may carry code), or is damaged; it is not loaded"
        ) from None
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{path} is damaged or no checkpoint ({reason}); take another from its folder"
        ) from None
    if not sharded and not (
        isinstance(checkpoint, dict) and isinstance(checkpoint.get("state_dict"), Mapping)
    ):
        raise UsageError(f"{path} is not a Lightning checkpoint: it has no `state_dict`")
    return checkpoint


def check_form(checkpoint: dict[str, Any], path: Path | str) -> None:
    """Refuse what another program has saved under the same names, of which Lightning would say little."""
    if VERSION not in checkpoint:
        raise UsageError(f"{path} is not a Lightning checkpoint: it has no `{VERSION}`")
    for name in ("hyper_parameters", "callbacks", "loops"):
        if not isinstance(checkpoint.get(name, {}), Mapping):
            kind = type(checkpoint[name]).__name__
            raise UsageError(f"{path} is not a Lightning checkpoint: its `{name}` is of type {kind}")


def newest_valid(folder: Path, max_epochs: int | None = None) -> Path:
    """The newest checkpoint of a run, by its step, that is whole and that training can go on from.

    One that is damaged is passed over with a warning. Of two from the same step, `last.ckpt` is preferred: it was
    written later. It is also preferred to one from the validation of the last epoch, from which nothing would be left to
    train, and `last.ckpt` would stay behind it for good.

    Args:
        folder: of the run, runs/<name>/version_N.
        max_epochs: how long it trains.

    Raises:
        UsageError: where there is none.
    """
    valid, refused = {}, []
    for path in sorted((folder / "checkpoints").glob("*.ckpt")):
        try:
            checkpoint = read_checkpoint(path)
            check_contents(path)
            check_complete(checkpoint, path)
        except UsageError as error:
            refused.append(str(error))
        else:
            is_last, epoch = path.name == "last.ckpt", checkpoint["epoch"]
            goes_on = is_last or max_epochs in (None, -1) or epoch + 1 < max_epochs
            valid[path] = (goes_on, checkpoint["global_step"], epoch, is_last)
    if not valid:
        reasons = "\n".join(refused) or f"{folder / 'checkpoints'} holds none"
        raise UsageError(f"--resume {folder}: there is no checkpoint to go on from; train anew\n{reasons}")
    newest = max(valid, key=valid.__getitem__)
    for reason in refused:
        rank_zero_warn(f"passed over: {reason}. Going on from {newest}.")
    return newest


def check_contents(path: Path) -> None:
    """Refuse a file with bytes that have changed since it was written; each part has a checksum."""
    for file in [path] if path.is_file() else []:
        with zipfile.ZipFile(file) as archive:
            if (part := archive.testzip()) is not None:
                raise UsageError(f"{path} is damaged: the checksum of {part} is wrong")


def check_complete(checkpoint: dict[str, Any], path: Path | str) -> None:
    """Refuse a checkpoint without the state that training goes on from."""
    sharded = "state_dict" not in checkpoint  # then the optimizer's state is in the shards as well
    if ("optimizer_states" not in checkpoint and not sharded) or "loops" not in checkpoint:
        raise UsageError(f"{path} holds weights only, without the optimizer's state; training cannot go on")


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
    if "state_dict" not in checkpoint:  # sharded: the strategy compares it while it loads
        return
    saved, built = checkpoint["state_dict"], model.state_dict()
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
    """Refuse to go on where the optimizer is not in the checkpoint, or is another one than the config asks for.

    Its state, learning rate and schedule come from the checkpoint, so such flags would be ignored, or fail later.
    `settings` are the model's hyper-parameters now.
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
                f"model.{name} is {describe(now, then)}, and {describe(then, now)} in {path}; a run goes on with the "
                f"{name} that it began with: leave the flag out, or train anew"
            )


def check_length(checkpoint: dict[str, Any], config: Path, max_epochs: int | None) -> None:
    """Refuse to train longer than a schedule such as OneCycleLR, which ends at a fixed step, was laid out for."""
    if not any("total_steps" in schedule for schedule in checkpoint.get("lr_schedulers", ())):
        return
    planned = yaml.safe_load(config.read_text(encoding="utf-8"))["trainer"]["max_epochs"]
    if planned and max_epochs and (max_epochs == -1 or max_epochs > planned):
        raise UsageError(
            f"trainer.max_epochs is {max_epochs}, but the learning rate's schedule ends after {planned}; "
            f"leave the flag out, or train anew with fit --config {config} --trainer.max_epochs {max_epochs}"
        )


def nested(value: Any) -> Any:
    """Nested mappings and sequences as dicts and lists, which compare by their content."""
    if isinstance(value, Mapping):
        return {key: nested(each) for key, each in value.items()}
    return [nested(each) for each in value] if isinstance(value, list | tuple) else value


def describe(value: Any, other: Any) -> str:
    """An optimizer or scheduler, with those of its arguments that differ from the other's."""
    if not isinstance(value, dict) or not isinstance(other, dict):
        return value["class_path"] if isinstance(value, dict) else str(value)
    name = value["class_path"].rpartition(".")[2]
    if value["class_path"] != other["class_path"]:
        return name
    mine, others = value.get("init_args", {}), other.get("init_args", {})
    return f"{name}({', '.join(f'{key}={mine[key]}' for key in mine if mine[key] != others.get(key))})"


def shape(state: dict[str, torch.Tensor], name: str) -> list[int] | str:
    """Shape of a weight, or that there is none of this name."""
    return list(state[name].shape) if name in state else "missing"
