"""Read a checkpoint safely, and find the newest one from which a run can resume."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from runtime.errors import UsageError
from runtime.resume import FIGURES, NOTHING, PART_OF_A_STEP, lost_by_resuming

VERSION = "pytorch-lightning_version"
LOSSES = {
    FIGURES: "figures of the step at which it was written may be missing, or stand twice, in metrics.csv and TensorBoard",
    PART_OF_A_STEP: "it was written within a step, so the run will not end exactly like one that was never stopped",
}
SHARDED = "meta.pt"  # Lightning writes it next to the shards of a checkpoint that is a folder


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load only plain data; tensors stay on disk until they are needed.

    For a sharded checkpoint, which is a folder (FSDP), load the file next to the shards.

    Raises:
        UsageError: if the file is damaged, is not a Lightning checkpoint, or carries code.
    """
    sharded = (path / SHARDED).is_file()
    file = path / SHARDED if sharded else path
    if not zipfile.is_zipfile(file):  # torch.save writes a zip file; a truncated one no longer is one
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
            check_contents(path)
            check_complete(checkpoint, path)
        except UsageError as error:
            refused.append(str(error))
        else:
            lost = lost_by_resuming(checkpoint)
            valid[path] = (-lost, checkpoint["global_step"], checkpoint["epoch"], path.name == "last.ckpt")
    if not valid:
        reasons = "\n".join(refused) or f"{folder / 'checkpoints'} holds none"
        raise UsageError(f"--resume {folder}: there is no checkpoint to resume from; train anew\n{reasons}")
    newest = max(valid, key=valid.__getitem__)
    for reason in refused:
        rank_zero_warn(f"passed over: {reason}. Going on from {newest}.")
    if (lost := -valid[newest][0]) != NOTHING:
        rank_zero_warn(f"{newest} is the best checkpoint to resume from: {LOSSES[lost]}")
    return newest


def check_contents(path: Path) -> None:
    """Refuse a file whose bytes have changed since it was written; each part has a checksum."""
    for file in [path] if path.is_file() else []:
        with zipfile.ZipFile(file) as archive:
            if (part := archive.testzip()) is not None:
                raise UsageError(f"{path} is damaged: the checksum of {part} is wrong")


def check_complete(checkpoint: dict[str, Any], path: Path | str) -> None:
    """Refuse a checkpoint that lacks the state for resuming training."""
    sharded = "state_dict" not in checkpoint  # then the optimizer's state is in the shards, too
    if ("optimizer_states" not in checkpoint and not sharded) or "loops" not in checkpoint:
        raise UsageError(
            f"{path} holds weights only, without the optimizer's state; training cannot be resumed"
        )
