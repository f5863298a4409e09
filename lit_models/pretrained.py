"""Weights of another network to begin with: from a run, a Lightning checkpoint, or a file that `torch.save` wrote."""

import pickle
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

# Names in the file and in the model, each with at most one *: {"encoder.*": "backbone.*"}; null: not to be loaded.
Parts = Mapping[str, str | None]
IN_A_RUN = ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "best.ckpt", "last.ckpt")
SHOWN = 4  # names in a message


def load_pretrained(module: pl.LightningModule, stage: str, path: str, parts: Parts | None = None) -> None:
    """Load weights when a training begins, and print what was loaded; to be called in a module's `setup(stage)`.

    Nothing is read in another stage, or if the training is resumed from a checkpoint, which has all weights itself. For
    that it asks `trainer.ckpt_path`, which `train.py` sets.

    Args:
        path, parts: see `load_weights`.
    """
    if stage != "fit" or module.trainer.ckpt_path is not None:
        return
    report = load_weights(module, path, parts)
    if module.trainer.is_global_zero:
        print(report, flush=True)


def load_weights(model: nn.Module, path: str | Path, parts: Parts | None = None) -> str:
    """Copy weights and buffers from a file into a model; what was loaded, and what was not, in words.

    Args:
        path: a run's folder (its best checkpoint, or else the last), a Lightning checkpoint, or a state_dict.
        parts: what to load: patterns of names in the file, each with the names in the model that it stands for. What
            the `*` of one matches stands for the `*` of the other. None for what is not to be loaded; the first pattern
            that matches decides. By default all that has the same name in both.

    Raises:
        ValueError: for a file that is missing or holds no weights; a pattern that matches nothing, or leads to a name
            that the model does not have; a tensor of another shape.
    """
    file = file_of(Path(path))
    saved, own = read_weights(file), model.state_dict()
    names = renamed(saved, own, parts, file) if parts else {name: name for name in saved if name in own}
    if not names:
        raise ValueError(
            f"{file} has no tensor with a name of this model: it has {some(saved)}, and the model has {some(own)}; "
            f"say with pretrained_parts which are the same, such as {example(saved, own)}"
        )
    for before, name in names.items():
        if saved[before].shape != own[name].shape:
            raise ValueError(
                f"{before} has shape {list(saved[before].shape)} in {file}, but {name} has {list(own[name].shape)} in "
                "the model; let pretrained_parts leave it out, with {before!r}: null first"
            )
    model.load_state_dict({name: saved[before] for before, name in names.items()}, strict=False)
    loaded = set(names.values())
    missing = [name for name in own if name not in loaded]
    rest = (
        f"; the model's {some(missing)} begin at random" if missing else ", which are all that the model has"
    )
    return f"{len(names)} of the {len(saved)} tensors in {file} are loaded{rest}"


def file_of(path: Path) -> Path:
    """The checkpoint in a folder; the path itself if it is no folder.

    Raises:
        ValueError: if there is none.
    """
    found = path
    if path.is_dir():
        found = next((path / name for name in IN_A_RUN if (path / name).is_file()), path)
    if not found.is_file():
        kind = "is a folder without a checkpoint" if path.is_dir() else "does not exist"
        raise ValueError(f"pretrained is {path}, which {kind}; give a run's folder, or a .ckpt or .pt file")
    return found


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a Lightning checkpoint or a state_dict, by name; code in the file is never run.

    Raises:
        ValueError: if it holds none, or anything but tensors and plain values.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"{file} holds more than tensors and plain values (it may carry code), or is damaged; it is not loaded"
        ) from None
    except Exception as error:  # of any class, if another program wrote the file
        raise ValueError(f"{file} cannot be read ({str(error).partition(chr(10))[0]})") from None
    weights = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{file} holds no weights: neither a Lightning checkpoint nor a state_dict")
    return tensors


def renamed(
    saved: Mapping[str, Tensor], own: Mapping[str, Tensor], parts: Parts, file: Path
) -> dict[str, str]:
    """For each tensor to load, its name in the file and in the model; the first pattern that matches decides."""
    found: dict[str, str | None] = {}
    for pattern, target in parts.items():
        if pattern.count("*") > 1 or (target is not None and pattern.count("*") != target.count("*")):
            raise ValueError(
                f"pretrained_parts has {pattern!r}: {target!r}; both take one *, or neither, as in "
                '{"encoder.*": "backbone.*"}'
            )
        matched = {name: part for name in saved if (part := matching(name, pattern)) is not None}
        if not matched:
            raise ValueError(
                f"pretrained_parts has {pattern!r}, which matches no tensor of {file}; {closest(pattern, saved)}"
            )
        for name, part in matched.items():
            found.setdefault(name, None if target is None else target.replace("*", part))
    kept = {name: new for name, new in found.items() if new is not None}
    for name, new in kept.items():
        if new not in own:
            raise ValueError(
                f"pretrained_parts makes {new!r} of {name!r}, which the model does not have; {closest(new, own)}"
            )
    return kept


def example(saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """The part that makes names of the model of names in the file, if one of them has only a prefix more."""
    for name in saved:
        for new in own:
            if new.endswith(f".{name}"):
                return f'{{"*": "{new.removesuffix(name)}*"}}'
            if name.endswith(f".{new}"):
                return f'{{"{name.removesuffix(new)}*": "*"}}'
    return '{"encoder.*": "backbone.*"}'


def matching(name: str, pattern: str) -> str | None:
    """What the * of a pattern stands for in a name; "" without a *; None if it does not match."""
    start, star, end = pattern.partition("*")
    if not star:
        return "" if name == pattern else None
    if len(name) < len(start) + len(end) or not (name.startswith(start) and name.endswith(end)):
        return None
    return name[len(start) : len(name) - len(end)]


def closest(name: str, known: Mapping[str, Tensor]) -> str:
    """What was probably meant."""
    return f"one is called {(get_close_matches(name, known, n=1, cutoff=0.3) or list(known))[0]!r}"


def some(names: Sequence[str] | Mapping[str, Tensor]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(list(names)[:SHOWN]) + more
