"""Checkpoints are written whole or not at all, and what they hold comes back exactly, without running code."""

import enum
import os
import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.plugins import TorchCheckpointIO
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from callbacks.files import replacing
from runtime.errors import RunError, UsageError
from runtime.kept_values import NAMES, PLAIN, decode, encode, is_loadable_tensor, like
from runtime.read_checkpoint import check_contents

BASES: tuple[type[Any], ...] = (int, float, str, bytes)
SETTINGS = {
    "hyper_parameters",
    "hparams_type",
    "datamodule_hyper_parameters",
    "datamodule_hparams_type",
}
WEIGHTS = {"state_dict", "current_model_state"}  # the second is of Lightning's averaged weights


class AtomicIO(TorchCheckpointIO):
    """Writes a checkpoint next to its target, then renames it, so that a kill leaves either the old or the new one.

    Lightning writes into the system's temporary folder and moves the file from there. If that is another file system,
    the move is a copy, and a full disk or a kill replaces a good checkpoint with a truncated one.
    """

    _was_read_back = False

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write what can be read again; the first checkpoint is read back before it takes its place.

        Raises:
            RunError: if it cannot be written; the old file is left as it was.
            UsageError: if it holds a value that could not be read again; the message has the path of the value.
        """
        target = Path(path)
        content = loadable(checkpoint)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as temporary:
                with temporary.open("wb") as file:
                    torch.save(content, file)
                self._read_back(temporary, target)
        except (OSError, RuntimeError) as error:
            # PyTorch wraps the system's error.
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            kept = "; the one before it is untouched" if target.exists() else ""
            raise RunError(f"cannot write the checkpoint {target}: {cause.strerror}{kept}") from None

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load only plain values, whatever the caller asks for: a checkpoint never runs code.

        Raises:
            UsageError: if the file is damaged, or a value in it is malformed.
        """
        check_contents(Path(path))
        content = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        try:
            return {key: decode(value) for key, value in content.items()}
        except (
            Exception
        ) as error:  # the parts of a value may be anything in a file that was written elsewhere
            raise UsageError(f"{path} holds a value that cannot be made from its parts ({error})") from None

    def _read_back(self, written: Path, target: Path) -> None:
        """Load the first checkpoint once; only a tensor's own attributes could still be what does not load."""
        if self._was_read_back:
            return
        try:
            torch.load(written, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # of any class, as tensors may bring code of their own
            found = re.search(r"GLOBAL (\S+)", str(error))
            reason = f"a tensor in it needs {found[1]}" if found else f"{type(error).__name__}: {error}"
            raise UsageError(f"the checkpoint {target} could not be read again: {reason}") from None
        self._was_read_back = True


def loadable(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint in types that load without running code.

    Settings are a record, from which nothing is resumed, so they are simplified (see `plain`). The state is kept
    exactly, or refused (see `encode`). In a state_dict, tensors of other classes become tensors: a module copies them
    into its own, which keep their class.

    Raises:
        UsageError: for a value that could not be given back as it is.
    """
    try:
        return {key: _loadable_part(key, value) for key, value in checkpoint.items()}
    except RecursionError:
        raise UsageError("the checkpoint holds a list or dict that contains itself") from None


def _loadable_part(key: str, value: Any) -> Any:
    if key in SETTINGS:
        return plain(value, f"checkpoint[{key!r}]")
    if key in WEIGHTS and isinstance(value, Mapping):
        value = like(value, {name: without_class(each) for name, each in value.items()})
    return encode(value, f"checkpoint[{key!r}]")


def without_class(value: Any) -> Any:
    """A tensor of another class, such as torchvision's `Image`, as a tensor; one that wraps other tensors stays."""
    is_simple = isinstance(value, torch.Tensor) and not hasattr(value, "__tensor_flatten__")
    return value.as_subclass(torch.Tensor) if is_simple and not is_loadable_tensor(value) else value


def plain(value: Any, path: str = "") -> Any:
    """A setting in simple types: paths, NumPy numbers, enums and so on become texts, numbers and lists.

    A class, a function or any other object becomes its name, with a warning.
    """
    kind = type(value)
    if kind in PLAIN or is_loadable_tensor(value):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value, path)
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), path) if value.dtype.hasobject else torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return plain(value.item(), path)
    for base in BASES:
        if isinstance(value, base):
            return base(value)
    if isinstance(value, Mapping):
        items = {_plain_key(key, path): plain(each, f"{path}[{key!r:.80}]") for key, each in value.items()}
        return like(value, items)
    if isinstance(value, Set):
        return {_plain_key(each, path) for each in value}
    if isinstance(value, Sequence):
        items_of = [plain(each, f"{path}[{index}]") for index, each in enumerate(value)]
        return tuple(items_of) if isinstance(value, tuple) else items_of
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "__dict__") and kind.__name__ == "Namespace":
        return plain(vars(value), path)
    if kind in NAMES:
        return encode(value, path)
    named = value if hasattr(value, "__qualname__") else kind
    name = f"{named.__module__}.{named.__qualname__}"
    rank_zero_warn(f"of {path} the checkpoint keeps only the name, {name}; nothing is resumed from it")
    return name


def _plain_key(value: Any, path: str) -> Any:
    """A key of a dict or an element of a set; sets inside a set stay hashable."""
    return encode(value, path) if isinstance(value, Set) else plain(value, f"{path}, a key")
