"""Histograms: how the weights and the activations of each layer are distributed, on TensorBoard's page "Histograms".

Tags, with `NN_layer` as in the other monitors:

    weights/NN_layer       the weights before the step (all parameters but biases)
    activations/NN_layer   the outputs of the hidden units for the batch
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.diagnostics.monitor import Monitor
from callbacks.diagnostics.probe import Layer
from callbacks.diagnostics.reduction import local
from callbacks.tensorboard import write_histogram

MOST_VALUES = 100_000  # of a histogram; of more, every second, third, ... is counted


class Histograms(Monitor):
    """Writes histograms of weights and activations to every TensorBoard logger; a millisecond each.

    With several processes they are of the first one's rows.

    Args:
        every_n_steps: optimizer steps between two measurements; default: the Trainer's `log_every_n_steps`. The first
            step of a training is always measured.

    Raises:
        ValueError: every_n_steps is not a positive integer.
    """

    def _clear(self) -> None:
        self._outputs: dict[str, tuple[Layer, list[Tensor]]] = {}
        self._weights: list[tuple[Layer, Tensor]] = []
        self._hidden: set[str] = set()  # those that a later layer gets something from

    def start_batch(self, batch: Any, batch_idx: int) -> None:
        self._weights = [(layer, thinned(found)) for layer in self.probe.layers if (found := weights(layer))]

    def on_activation(self, layer: Layer, key: str, function: str, y: Tensor) -> None:
        self._outputs.setdefault(key, (layer, []))[1].append(thinned([y]))

    def end_batch(self) -> None:
        self._hidden |= self.probe.paths.hidden

    def finish(self, trainer: pl.Trainer, numbers: list[float], step: int) -> None:
        for tag, values in self._by_tag():
            finite = values[values.isfinite()].float().cpu()
            if len(finite):
                write_histogram(trainer, tag, finite, step)
        self._clear()

    def _by_tag(self) -> Iterator[tuple[str, Tensor]]:
        for layer, values in self._weights:
            yield f"weights/{layer.tag}", values
        for key, (layer, calls) in self._outputs.items():
            if key in self._hidden:
                yield f"activations/{layer.tag}{key.removeprefix(layer.name)}", torch.cat(calls)


def weights(layer: Layer) -> list[Tensor]:
    """Its parameters without the biases, or all of them if it has nothing else."""
    named = list(layer.parameters())
    return [p for name, p in named if "bias" not in name] or [p for _, p in named]


def thinned(tensors: list[Tensor]) -> Tensor:
    """A copy of their values, one-dimensional; of many every second, third, ..."""
    stride = max(math.ceil(sum(each.numel() for each in tensors) / MOST_VALUES), 1)
    return torch.cat([local(each).flatten()[::stride].clone() for each in tensors])
