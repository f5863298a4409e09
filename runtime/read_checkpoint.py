"""Read a checkpoint safely, and find the newest one from which a run can resume."""

import functools
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from runtime.errors import UsageError
from runtime.resume import FIGURES, NOTHING, PART_OF_A_STEP, first_step_to_log, lost_by_resuming

VERSION = "pytorch-lightning_version"
LOSSES = {
    FIGURES: "figures of the step at which it was written may be missing, or stand twice, in metrics.csv and TensorBoard",
    PART_OF_A_STEP: "it was written within a step, so the run will not end exactly like one that was never stopped",
}
SHARDED = "meta.pt"  # Lightning writes it next to the shards of a checkpoint that is a folder
TYPES: dict[str, type] = {  # of the parts that Lightning restores
    "epoch": int,
    "global_step": int,
    "loops": Mapping,
    "callbacks": Mapping,
    "hyper_parameters": Mapping,
    "optimizer_states": list,
    "lr_schedulers": list,
    VERSION: str,
}
INSTEAD = "; take another from its folder"


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load only plain data, after its checksums; tensors stay on disk until they are needed.

    For a sharded checkpoint, which is a folder (FSDP), load the file next to the shards.

    Raises:
        UsageError: if the file is damaged, is not a Lightning checkpoint, or carries code.
    """
    sharded = (path / SHARDED).is_file()
    check_contents(path)
    try:
        checkpoint = torch.load(
            path / SHARDED if sharded else path, map_location="cpu", weights_only=True, mmap=True
        )
    except pickle.UnpicklingError:
        raise UsageError(
            f"{path} holds more than numbers and plain values (it may carry code), or is damaged; it is not loaded"
        ) from None
    except Exception as error:  # of any class, if another program wrote the file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path} is damaged or no checkpoint ({reason}){INSTEAD}") from None
    if not sharded and not (
        isinstance(checkpoint, dict) and isinstance(checkpoint.get("state_dict"), Mapping)
    ):
        raise UsageError(f"{path} is not a Lightning checkpoint: it has no `state_dict`")
    return checkpoint


def newest_valid(folder: Path) -> Path:
    """The newest undamaged checkpoint of a run, by its step, from which training can resume.

    A damaged one is skipped with a warning. One that was written between two steps, as `last.ckpt` is, is preferred to
    any other, because only that resumes exactly. Of two from the same step, `last.ckpt` is preferred.

    Args:
        folder: of the run, runs/<name>/version_N.

    Raises:
        UsageError: if there is none.
    """
    valid, refused = {}, []
    for path in sorted((folder / "checkpoints").glob("*.ckpt")):
        try:
            checkpoint = read_checkpoint(path)
            check_types(checkpoint, path)
            check_complete(checkpoint, path)
        except UsageError as error:
            refused.append(str(error).removesuffix(INSTEAD))
        else:
            lost = lost_by_resuming(checkpoint)
            valid[path] = (
                -lost,
                first_step_to_log(checkpoint),
                checkpoint["epoch"],
                path.name == "last.ckpt",
            )
    if not valid:
        reasons = "\n".join(refused) or f"{folder / 'checkpoints'} holds none"
        raise UsageError(f"--resume {folder}: there is no checkpoint to resume from; train anew\n{reasons}")
    newest = max(valid, key=valid.__getitem__)
    for reason in refused:
        rank_zero_warn(f"passed over: {reason}. Resuming from {newest}.")
    if (lost := -valid[newest][0]) != NOTHING:
        rank_zero_warn(f"{newest} is the best checkpoint to resume from: {LOSSES[lost]}")
    return newest


def check_contents(path: Path) -> None:
    """Refuse a file whose bytes have changed since it was written. It costs about as much as loading all tensors.

    `torch.save` writes a zip file, in which every part has a checksum; `torch.load` does not compare them.

    Raises:
        UsageError: if a checksum is wrong, or the file is no zip file, such as one that was cut off.
    """
    file = path / SHARDED if (path / SHARDED).is_file() else path
    status = file.stat()
    _check_parts(file, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=8)
def _check_parts(path: Path, modified: int, size: int) -> None:
    """Read each part of a file once in a process; it is read again if its time or size has changed."""
    try:
        if not zipfile.is_zipfile(path):
            raise UsageError(f"{path} is damaged or no checkpoint{INSTEAD}")
        with zipfile.ZipFile(path) as archive:
            has_checksums = any(
                part.CRC for part in archive.infolist()
            )  # PyTorch can be told to leave them out
            wrong = archive.testzip() if has_checksums else None
    except UsageError:
        raise
    except Exception as error:  # of many classes, if the changed byte is in a header
        raise UsageError(f"{path} is damaged ({error or type(error).__name__}){INSTEAD}") from None
    if wrong is not None:
        raise UsageError(f"{path} is damaged: the checksum of {wrong} is wrong{INSTEAD}")


def check_types(checkpoint: dict[str, Any], path: Path | str) -> None:
    """Refuse what another program saved under the same names; Lightning's own error would not explain it."""
    for name, kind in TYPES.items():
        if name in checkpoint and not isinstance(value := checkpoint[name], kind):
            raise UsageError(
                f"{path} is not a Lightning checkpoint: its `{name}` is of type {type(value).__name__}"
            )


def check_complete(checkpoint: dict[str, Any], path: Path | str) -> None:
    """Refuse a checkpoint that lacks the state for resuming training."""
    sharded = "state_dict" not in checkpoint  # then the optimizer's state is in the shards, too
    needed = {"epoch", "global_step", "loops"} | (set() if sharded else {"optimizer_states"})
    if not needed <= checkpoint.keys():
        raise UsageError(
            f"{path} holds weights only, without the optimizer's state; training cannot be resumed"
        )
