"""Checkpoints are written whole or not at all, and hold only plain values."""

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

# What `torch.load(weights_only=True)` accepts unchanged. Subclasses, such as an enum that is an int, are not accepted.
PLAIN = {type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size}
BASES: tuple[type[Any], ...] = (int, float, str, bytes)


class AtomicIO(TorchCheckpointIO):
    """Writes a checkpoint next to its target, then renames it, so that a kill leaves either the old or the new one.

    Lightning writes into the system's temporary folder and moves the file from there. If that is another file system,
    the move is a copy, and a full disk or a kill replaces a good checkpoint with a truncated one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write only plain values; see `plain`.

        Raises:
            RunError: if it cannot be written; the old file is left as it was.
        """
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as temporary, temporary.open("wb") as file:
                torch.save(plain(checkpoint), file)
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
        """Load only plain values, whatever the caller asks for: a checkpoint never runs code."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


def plain(value: Any) -> Any:
    """The value in types that load without running code: paths, NumPy numbers, enums and so on become plain values.

    A class, a function or any other object becomes its name, which can be read but not called.
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
