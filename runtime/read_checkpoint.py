"""Read a checkpoint safely, and find the newest one that a run can be resumed from."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from runtime.errors import UsageError

VERSION = "pytorch-lightning_version"
SHARDED = "meta.pt"  # what Lightning writes next to the shards of a checkpoint that is a folder


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load plain data only; tensors stay on disk until they are needed.

    Of a sharded checkpoint, which is a folder (FSDP), this is what lies next to the shards.

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


def newest_valid(folder: Path, max_epochs: int | None = None) -> Path:
    """The newest checkpoint of a run, by its step, that is whole and that training can be resumed from.

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
        raise UsageError(f"--resume {folder}: there is no checkpoint to resume from; train anew\n{reasons}")
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
    """Refuse a checkpoint without the state that training is resumed from."""
    sharded = "state_dict" not in checkpoint  # then the optimizer's state is in the shards as well
    if ("optimizer_states" not in checkpoint and not sharded) or "loops" not in checkpoint:
        raise UsageError(
            f"{path} holds weights only, without the optimizer's state; training cannot be resumed"
        )
