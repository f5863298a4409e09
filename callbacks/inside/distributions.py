"""Distributions: histograms of each layer's weights and activations over the steps, in `inside/distributions.npz`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from callbacks.diagnostics.functions import nonlinearity_of
from callbacks.diagnostics.probe import Layer, find_layers, forward_hooks, tensors_in
from callbacks.files import replacing
from callbacks.inside.layers import inside_folder, tensors_of
from callbacks.pictures.base import NoValidationError, Picture, fixed_batch
from callbacks.steps import steps_done

FILE = "distributions.npz"
BINS = 40
ROWS = 256  # of the validation batch
MOST_VALUES = 2**18  # of a layer; of more, every second, third, ... is counted


class Distributions(Picture):
    """Counts weights and activations whenever pictures are drawn: before training, after a few epochs, and at the end.

    For each layer there are `weights/<tag>/counts` (S, B) and `weights/<tag>/edges` (S, B + 1), and the same of
    `activations/<tag>`, for S steps and B bins; `steps` (S,) has the steps done. Each step has its own bins, from the
    smallest to the largest value. Activations are what a layer passes on for the first 256 rows of the fixed validation
    batch: the output of the nonlinearity that follows it, or else its own. They are left out without validation data, and
    for a module that cannot be called with the first tensor of a batch.

    A resumed run keeps the steps up to its checkpoint.

    Args:
        folder: for the file; default: `inside` in the folder of the Trainer's first logger.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            self.folder = self.folder or inside_folder(trainer)

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return self.folder is not None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._found = self._kept(steps_done(trainer))
        super().on_train_start(trainer, pl_module)

    def _draw_all(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self.folder is not None
        self._found[steps_done(trainer)] = dict(self._count(trainer, pl_module))
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / FILE) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays(self._found))

    def _count(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Iterator[tuple[str, Any]]:
        """By `weights/<tag>` and `activations/<tag>`: counts (B,) and edges (B + 1,)."""
        outputs: dict[str, Tensor] = {}
        with contextlib.suppress(NoValidationError):
            if self.batch is None:
                self.batch = fixed_batch(trainer)
            x = next(tensors_of(self.batch), None)
            if x is not None:
                outputs = activations(pl_module, x[:ROWS])
        layers = in_order(find_layers(pl_module), list(outputs))
        for tag, layer in layers.items():
            weights = [p.detach().flatten() for name, p in layer.parameters() if "bias" not in name]
            weights = weights or [p.detach().flatten() for _, p in layer.parameters()]
            if weights:
                yield f"weights/{tag}", histogram(torch.cat([each.float() for each in weights]))
        for tag, layer in layers.items():
            if layer.name in outputs:
                yield f"activations/{tag}", histogram(outputs[layer.name])

    def _kept(self, done: int) -> dict[int, dict[str, Any]]:
        """What an earlier part of the training found up to a step; nothing if the file is damaged."""
        if done == 0 or self.folder is None:
            return {}
        damage = (OSError, ValueError, KeyError, EOFError, BadZipFile)
        with contextlib.suppress(*damage), np.load(self.folder / FILE) as file:
            names = [name.removesuffix("/counts") for name in file.files if name.endswith("/counts")]
            return {
                int(step): {name: (file[f"{name}/counts"][k], file[f"{name}/edges"][k]) for name in names}
                for k, step in enumerate(file["steps"])
                if step <= done
            }
        return {}


def arrays(found: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """What is saved, of what was found at each step; a layer has zeros at a step where it was not counted."""
    steps = sorted(found)
    names = dict.fromkeys(name for step in steps for name in found[step])
    nothing = np.zeros(BINS, dtype=np.int64), np.linspace(0, 1, BINS + 1)
    result: dict[str, Any] = {"steps": np.array(steps, dtype=np.int64)}
    for name in names:
        parts = [found[step].get(name, nothing) for step in steps]
        result[f"{name}/counts"] = np.stack([counts for counts, _ in parts])
        result[f"{name}/edges"] = np.stack([edges for _, edges in parts])
    return result


def histogram(values: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Counts (B,) and edges (B + 1,) of the finite values."""
    values = values.detach().flatten()
    values = values[:: max(-(-values.numel() // MOST_VALUES), 1)].double().cpu()
    values = values[values.isfinite()]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if low == high:  # one value alone has a bin of some width
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(values.numpy(), BINS, (low, high))
    return counts.astype(np.int64), edges


def in_order(layers: list[Layer], called: list[str]) -> dict[str, Layer]:
    """The layers by their tags `NN_name`, in the order in which they were called; those never called come last."""
    by_name = {layer.name: layer for layer in layers}
    names = [*called, *(name for name in by_name if name not in called)]
    width = max(2, len(str(len(names) - 1)))
    return {f"{k:0{width}d}_{name}": by_name[name] for k, name in enumerate(names)}


def activations(model: pl.LightningModule, x: Tensor) -> dict[str, Tensor]:
    """By name of each layer, in order of the forward pass: what it passed on; empty if `model(x)` is not possible."""
    names = {module: layer.name for layer in find_layers(model) for module in layer.modules}
    seen = _Seen()

    def note(module: Any, inputs: Any, output: Any) -> None:
        tensor = next(tensors_in(output), None)
        if tensor is not None:
            seen.leave(names[module], tensor)

    with contextlib.suppress(Exception), forward_hooks(names, note), seen:
        model(x)
    return seen.outputs


class _Seen(TorchFunctionMode):
    """Notes the output of each layer, and replaces it by that of the first nonlinearity that follows."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, Tensor] = {}
        self._newest = ""  # the layer that was left last, until a nonlinearity follows

    def leave(self, name: str, output: Tensor) -> None:
        self._newest = "" if name in self.outputs else name  # of several calls the first counts
        self.outputs.setdefault(name, output)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if self._newest and nonlinearity_of(func, args, kwargs or {}, output):
            self.outputs[self._newest] = output
            self._newest = ""
        return output
