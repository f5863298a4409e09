"""ActivationMonitor: what the hidden units do, and which of them do nothing.

Tags, with `NN_layer` the depth and name of the layer whose output goes through the nonlinearity:

    activation_mean/NN_layer            mean over the batch and all units
    activation_std/NN_layer             standard deviation over the same
    activation_zero_fraction/NN_layer   share of values that are exactly 0
    activation_saturated/NN_layer       share of values where the slope is almost 0: outside 0.05 to 0.95
                                        for a sigmoid; |y| over 0.95 for tanh, RNN, LSTM, GRU; else no tag
    activation_dead_units/NN_layer      units that were 0 for every sample of the last `window` looks

A unit is a feature (last axis), and of a convolution a channel. Nonlinearities of the output layer (a sigmoid
that turns logits into probabilities) are not hidden units and stay out.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from callbacks.logs import write_scalars
from callbacks.monitor import Looking
from callbacks.probe import SIGMOIDS, TANHS, Layer
from callbacks.reduction import float64, local, norms, stack, sum_over_processes

QUANTITIES = ("mean", "std", "zero_fraction", "saturated", "dead_units")

_CONVOLUTIONS = nn.modules.conv._ConvNd
_CHANNEL_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm)


class Activation:
    """What one nonlinearity put out in this optimizer step, over all its calls, kept on the device."""

    def __init__(self, layer: Layer, function: str, call: int, y: Tensor) -> None:
        self.layer, self.function, self.call = layer, function, call
        self.axis = unit_axis(layer.modules[0], y)
        self.count = 0
        self.parts: list[Tensor] = []  # of each call: sum, norm, values that are not 0, saturated ones
        self.largest = torch.zeros(y.shape[self.axis] if y.ndim > 1 else 1, device=y.device)  # |y| by unit

    def add(self, y: Tensor) -> None:
        y = local(y)
        wide = float64(y.device)
        self.count += y.numel()
        self.parts += [
            y.sum(dtype=wide),
            norms([y])[0],
            y.count_nonzero(),
            self._saturated(y).count_nonzero(),
        ]
        others = [axis for axis in range(y.ndim) if axis != self.axis % y.ndim] or [0]
        if y.numel() and (y.ndim == 1 or y.shape[self.axis] == len(self.largest)):
            self.largest = torch.maximum(self.largest, y.abs().amax(others).view(-1))

    def _saturated(self, y: Tensor) -> Tensor:
        if self.function in SIGMOIDS:
            return (y < 0.05) | (y > 0.95)
        if self.function in TANHS:
            return y.abs() > 0.95
        return y.new_zeros(1)


def measured(activations: list[Activation]) -> Tensor:
    """Everything about all of them as one float64 vector that may be summed over processes.

    Five numbers for each (values, sum, squares, values that are not 0, saturated ones), then for each of its units
    whether it was active.
    """
    device = activations[0].largest.device
    calls = stack([part for each in activations for part in each.parts], device).view(-1, 4)
    calls[:, 1].square_()
    owners = [index for index, each in enumerate(activations) for _ in range(0, len(each.parts), 4)]
    sums = torch.zeros(len(activations), 4, dtype=calls.dtype, device=device)
    sums.index_add_(0, torch.tensor(owners, device=device), calls)
    counts = torch.tensor([[float(each.count)] for each in activations], dtype=calls.dtype, device=device)
    active = torch.cat([each.largest.to(device) for each in activations]) != 0
    return torch.cat([torch.cat([counts, sums], dim=1).flatten(), active.to(calls.dtype)])


def unit_axis(module: nn.Module, y: Tensor) -> int:
    """The axis of y that counts units, for an activation fed by `module`: channels, else the last."""
    if isinstance(module, _CONVOLUTIONS) and y.ndim > len(module.kernel_size):
        return y.ndim - len(module.kernel_size) - 1
    return 1 if isinstance(module, _CHANNEL_NORMS) and y.ndim > 1 else -1


class ActivationMonitor(Looking):
    """Logs every hidden activation, module or functional. See the head of this file for the tags.

    Args:
        every_n_steps: optimizer steps between two looks; default: the Trainer's `log_every_n_steps`.
        window: looks in a row for which a unit must be silent to be called dead. Before there were so many,
            nothing is said of dead units.

    Raises:
        ValueError: every_n_steps or window is not a positive integer.

    `latest` holds the last look: `latest[quantity][tag]`, with `latest_step`; `dead[tag]` the indices of the
    dead units, and `units[tag]` the number of all.
    """

    charts = tuple(f"activation_{quantity}" for quantity in QUANTITIES)

    def __init__(self, every_n_steps: int | None = None, *, window: int = 5) -> None:
        if not isinstance(window, int) or window < 1:
            raise ValueError(f"window={window!r} is not a number of looks; give 1 or more")
        self.window = window
        self._restored: dict[str, deque[np.ndarray]] = {}  # from a checkpoint
        super().__init__(every_n_steps)

    def _forget(self) -> None:
        super()._forget()
        self.dead: dict[str, list[int]] = {}
        self.units: dict[str, int] = {}
        # by activation, which units were active at each look
        self._history: dict[str, deque[np.ndarray]] = {}

    def _clear(self) -> None:
        self._found: dict[str, Activation] = {}

    def state_dict(self) -> dict[str, Any]:
        """The window of looks, so that dead units are counted on without a gap after a resume."""
        return {"history": {key: [*map(torch.from_numpy, looks)] for key, looks in self._history.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        history = state_dict.get("history", {})
        self._restored = {
            key: deque((look.cpu().numpy() for look in looks), maxlen=self.window)
            for key, looks in history.items()
        }

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._history, self._restored = self._restored, {}

    def on_layer_output(self, layer: Layer, output: Any) -> None:
        """Nothing: only nonlinearities count here."""

    def on_activation(self, layer: Layer, key: str, function: str, y: Tensor) -> None:
        if y.ndim == 0:
            return
        with torch.no_grad():
            if key not in self._found:
                self._found[key] = Activation(layer, function, self.probe.calls, local(y))
            self._found[key].add(y)

    def _finish(self, trainer: pl.Trainer) -> None:
        """Reduce over processes, copy to the host once, write one event."""
        if not self._found:
            return
        hidden = {key: a for key, a in self._found.items() if a.call < self.probe.calls}
        self.latest, self.latest_step = {}, self._step
        if not hidden:
            return
        found = sum_over_processes(trainer, measured(list(hidden.values()))).cpu().numpy()
        sums, active = found[: 5 * len(hidden)].reshape(-1, 5).tolist(), found[5 * len(hidden) :] > 0
        first = 0
        for (key, activation), numbers in zip(hidden.items(), sums, strict=True):
            tag = activation.layer.tag + key.removeprefix(activation.layer.name)
            units = slice(first, first + len(activation.largest))
            self._describe(tag, key, activation.function, numbers, active[units])
            first = units.stop
        if self.writes:
            names = {
                f"activation_{q}/{tag}": v for q, values in self.latest.items() for tag, v in values.items()
            }
            write_scalars(trainer, names, self.latest_step)

    def _describe(self, tag: str, key: str, function: str, sums: list[float], active: np.ndarray) -> None:
        count, total, squares, nonzero, saturated = sums
        mean = total / count
        values = {"mean": mean, "zero_fraction": (count - nonzero) / count}
        variance = squares / count - mean**2
        values["std"] = math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.nan
        if function in SIGMOIDS | TANHS:
            values["saturated"] = saturated / count
        history = self._history.setdefault(key, deque(maxlen=self.window))
        history.append(active)
        self.units[tag] = len(active)
        if len(history) == self.window:
            self.dead[tag] = np.flatnonzero(~np.logical_or.reduce(history)).tolist()
            values["dead_units"] = len(self.dead[tag])
        for quantity, value in values.items():
            self.latest.setdefault(quantity, {})[tag] = value
