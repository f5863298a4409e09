"""Checkpoints are written whole or not at all, and hold plain values only."""

import enum
import os
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.plugins import TorchCheckpointIO

from callbacks.files import replacing
from runtime.errors import RunError

# What `torch.load(weights_only=True)` takes as it is; a subclass, such as an enum that is an int, is none of these.
PLAIN = {type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size}
BASES: tuple[type[Any], ...] = (int, float, str, bytes)


class AtomicIO(TorchCheckpointIO):
    """Writes a checkpoint next to its target and then puts it in its place, so that a kill leaves the old or the new one.

    Lightning writes into the system's temporary folder and moves the file from there, which is a copy where that is
    another file system: a full disk or a kill then replaces a good checkpoint by a truncated one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write plain values only; see `plain`.

        Raises:
            RunError: where it cannot be written; what was there before is as it was.
        """
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as temporary, temporary.open("wb") as file:
                torch.save(plain(checkpoint), file)
        except (OSError, RuntimeError) as error:
            # PyTorch wraps what the disk says.
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            kept = "; the one before it is untouched" if target.exists() else ""
            raise RunError(f"cannot write the checkpoint {target}: {cause.strerror}{kept}") from None

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Plain values only, whatever is asked for: a checkpoint never runs code."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


def plain(value: Any) -> Any:
    """The same in types that load without running code: paths, numbers of NumPy, enums and so on become plain values.

    A class, a function, and any other object, becomes its name: it can be read, not called.
    """
    kind = type(value)
    if kind in PLAIN or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, np.ndarray):
        return plain(value.tolist()) if value.dtype.hasobject else torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return plain(value.item())
    for base in BASES:
        if isinstance(value, base):
            return base(value)
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    if isinstance(value, Set):
        return {plain(each) for each in value}
    if isinstance(value, Sequence):
        items = [plain(each) for each in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "__dict__") and kind.__name__ == "Namespace":
        return plain(vars(value))
    named = value if hasattr(value, "__qualname__") else kind
    return f"{named.__module__}.{named.__qualname__}"


def _plain_mapping(value: Mapping[Any, Any]) -> dict[Any, Any]:
    items = {plain(key): plain(each) for key, each in value.items()}
    if type(value) is Counter:  # a schedule's milestones
        return Counter(items)
    if type(value) is not OrderedDict:
        return items
    ordered = OrderedDict(items)
    if hasattr(value, "_metadata"):  # a state_dict's versions of its modules
        ordered._metadata = value._metadata  # type: ignore[attr-defined]
    return ordered
