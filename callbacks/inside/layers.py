"""LayerTable: the layers of a network with their shapes, as seen in the first step, in `inside/layers.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from callbacks.diagnostics.monitor import Monitor
from callbacks.diagnostics.probe import Layer, Probe
from callbacks.files import write_whole
from callbacks.layer_labels import layer_labels

FILE = "layers.json"


class InsideMonitor(Monitor):
    """A monitor that writes into the folder `inside`.

    Args:
        folder: for the files; default: `inside` in the folder of the Trainer's first logger.
    """

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.folder = folder

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self.folder = self.folder or inside_folder(trainer)


class LayerTable(InsideMonitor):
    """Writes one entry per layer, in the order and with the tags of the monitors:

        {"name": "layers.0", "tag": "00_layers.0", "label": "hidden 1", "type": "Linear",
         "input": [2], "output": [2], "parameters": 6, "trainable": 6}

    `input` and `output` are shapes of one sample, null for a layer whose `forward` is never called. They are noted in the
    first step, which the monitors watch anyway; a resumed run that has the file leaves it.

    Args:
        folder: for the file; default: `inside` in the folder of the Trainer's first logger.
    """

    def start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, probe: Probe) -> None:
        super().start(trainer, pl_module, probe)
        is_done = trainer.fast_dev_run or self.folder is None or (self.folder / FILE).exists()
        self._is_done = trainer.strategy.broadcast(is_done)  # all processes must measure at the same steps

    def _clear(self) -> None:
        self._shapes: dict[str, tuple[list[int] | None, list[int] | None]] = {}
        self._batch_size = 0

    def is_due(self, step: int) -> bool:
        return super().is_due(step) and not self._is_done

    def start_batch(self, batch: Any, batch_idx: int) -> None:
        first = next(tensors_of(batch), None)
        self._batch_size = len(first) if first is not None and first.ndim else 0

    def on_layer_call(self, layer: Layer, inputs: Any, output: Any) -> None:
        """After each call of a layer; the first one counts."""
        if layer.name not in self._shapes:
            batch_first = getattr(layer.modules[0], "batch_first", True)
            found = (next(tensors_of(each), None) for each in (inputs, output))
            shapes = [
                None if tensor is None else sample_shape(tensor, self._batch_size, batch_first)
                for tensor in found
            ]
            self._shapes[layer.name] = (shapes[0], shapes[1])

    def finish(self, trainer: pl.Trainer, numbers: list[float], step: int) -> None:
        self._is_done = True
        if trainer.is_global_zero and self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            rows = list(self._rows(trainer.lightning_module))
            write_whole(self.folder / FILE, json.dumps(rows, indent=1) + "\n")
        self._clear()

    def _rows(self, model: pl.LightningModule) -> Iterator[dict[str, Any]]:
        labels = layer_labels(model, [layer.name for layer in self.probe.layers])
        for layer in self.probe.layers:
            parameters = [parameter for _, parameter in layer.parameters()]
            inputs, outputs = self._shapes.get(layer.name, (None, None))
            yield {
                "name": layer.name,
                "tag": layer.tag,
                "label": labels[layer.name],
                "type": type(layer.modules[0]).__name__,
                "input": inputs,
                "output": outputs,
                "parameters": sum(p.numel() for p in parameters),
                "trainable": sum(p.numel() for p in parameters if p.requires_grad),
            }


def inside_folder(trainer: pl.Trainer) -> Path | None:
    """`inside` in the folder of the Trainer's first logger; every process must ask for it. None without a logger."""
    folder = trainer.log_dir if trainer.loggers else None
    return Path(folder) / "inside" if folder else None


def tensors_of(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dicts, of any type of numbers."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors_of(part)


def sample_shape(tensor: Tensor, batch_size: int, batch_first: bool = True) -> list[int]:
    """The shape of one sample: without the axis of the batch, which comes second in some networks for sequences."""
    shape = list(tensor.shape)
    seems_second = batch_size > 0 and len(shape) > 1 and shape[0] % batch_size > 0 and shape[1] == batch_size
    if seems_second or (not batch_first and len(shape) > 2):
        return [shape[0], *shape[2:]]
    return shape[1:]
