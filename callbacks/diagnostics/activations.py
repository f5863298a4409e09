"""ActivationMonitor: what the hidden units do, and which of them are dead.

Tags, with `NN_layer` the depth and name of the layer whose output goes through the nonlinearity:

    activation_mean/NN_layer            mean over the batch and all units
    activation_std/NN_layer             standard deviation over the batch and all units
    activation_zero_fraction/NN_layer   share of values that are exactly 0
    activation_saturated/NN_layer       share of values where the slope is almost 0: outside 0.05 to 0.95
                                        for a sigmoid; |y| over 0.95 for tanh, RNN, LSTM, GRU; else no tag
    activation_dead_units/NN_layer      units that were 0 for every sample of the last `window` probe steps

A unit is a feature (last axis); in a convolution, a channel. Only what a later layer gets something from is a hidden
unit: a sigmoid that turns logits into probabilities is left out, and so is a relu in the loss.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from callbacks.diagnostics.functions import SIGMOIDS, TANHS
from callbacks.diagnostics.monitor import Monitor
from callbacks.diagnostics.probe import Layer, Probe
from callbacks.diagnostics.reduction import float64, local, norms, to_host
from callbacks.tensorboard import write_scalars

QUANTITIES = ("mean", "std", "zero_fraction", "saturated", "dead_units")

_CONVOLUTIONS = nn.modules.conv._ConvNd
_CHANNEL_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm)


class Activation:
    """The output of one nonlinearity in this optimizer step, over all its calls, kept on the device."""

    def __init__(self, layer: Layer, function: str, call: int, y: Tensor) -> None:
        self.layer, self.function, self.call = layer, function, call
        self.axis = unit_axis(layer.modules[0], y)
        self.saturates = function in SIGMOIDS or function in TANHS
        self.count = 0
        self.parts: list[Tensor] = []  # for each call: sum, norm, count of nonzero values, count of saturated
        self.fired = y.new_zeros(y.shape[self.axis] if y.ndim > 1 else 1, dtype=torch.long)  # by unit

    def add(self, y: Tensor) -> None:
        others = [axis for axis in range(y.ndim) if axis != self.axis % y.ndim] or [0]
        fired = y.count_nonzero(others).view(-1)  # one call over all axes would take five times as long
        if fired.shape == self.fired.shape:
            self.fired = self.fired + fired
        self.count += y.numel()
        wide = float64(y.device)
        self.parts += [y.sum(dtype=wide), norms([y])[0], fired.sum(dtype=wide)]
        if self.saturates:
            low, high = (0.05, 0.95) if self.function in SIGMOIDS else (-0.95, 0.95)
            self.parts.append(((y < low) | (y > high)).sum(dtype=wide))

    def sums(self, parts: list[float]) -> list[float]:
        """Number of values, sum, sum of squares, nonzero values, saturated values; `parts` are on the host."""
        each = 4 if self.saturates else 3
        total, norms_found, nonzero = parts[::each], parts[1::each], parts[2::each]
        squares = sum(norm**2 for norm in norms_found)
        return [self.count, sum(total), squares, sum(nonzero), sum(parts[3::4]) if self.saturates else 0.0]


def measured(activations: list[Activation]) -> list[float]:
    """All sums and counts of all activations, in one copy to the host, as numbers that can be summed over processes.

    Five for each activation (see `sums`), then for each of its units how often it was not 0.
    """
    parts = [part for each in activations for part in each.parts]
    numbers = to_host(parts + [each.fired for each in activations])
    found, first = [], 0
    for each in activations:
        found += each.sums(numbers[first : first + len(each.parts)])
        first += len(each.parts)
    return found + numbers[first:]


def unit_axis(module: nn.Module, y: Tensor) -> int:
    """The axis of y that counts units, for an activation fed by `module`: channels in a convolution, else the last."""
    if isinstance(module, _CONVOLUTIONS) and y.ndim > len(module.kernel_size):
        return y.ndim - len(module.kernel_size) - 1
    return 1 if isinstance(module, _CHANNEL_NORMS) and y.ndim > 1 else -1


class ActivationMonitor(Monitor):
    """Logs every hidden activation, module or functional. See the top of this file for the tags.

    Args:
        every_n_steps: optimizer steps between two measurements; default: the Trainer's `log_every_n_steps`.
        window: a unit is dead if it was silent at this many probe steps in a row. Before there are that many, no
            unit is reported as dead.

    Raises:
        ValueError: every_n_steps or window is not a positive integer.

    `latest` holds the newest measurement as `latest[quantity][tag]`, of the step `latest_step`. `dead[tag]` holds the
    indices of the dead units, and `units[tag]` the number of units.
    """

    charts = tuple(f"activation_{quantity}" for quantity in QUANTITIES)

    def __init__(self, every_n_steps: int | None = None, *, window: int = 5) -> None:
        if not isinstance(window, int) or window < 1:
            raise ValueError(f"window={window!r} is not a number of probe steps; give 1 or more")
        self.window = window
        self._restored: dict[str, tuple[int, np.ndarray]] = {}  # from a checkpoint
        super().__init__(every_n_steps)

    def _forget(self) -> None:
        super()._forget()
        self.dead: dict[str, list[int]] = {}
        self.units: dict[str, int] = {}
        # by activation: the number of probe steps so far, and how many in a row up to now each unit was silent
        self._silent: dict[str, tuple[int, np.ndarray]] = {}

    def _clear(self) -> None:
        self._found: dict[str, Activation] = {}
        self._hidden: set[str] = set()  # those that a later layer gets something from

    def state_dict(self) -> dict[str, Any]:
        """The number of probe steps, and each unit's silent ones in a row, so that counting continues after a resume."""
        kept = self._silent.items()
        return {"silent": {key: (steps, torch.from_numpy(silent)) for key, (steps, silent) in kept}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        kept = state_dict.get("silent", {})
        self._restored = {key: (steps, silent.cpu().numpy()) for key, (steps, silent) in kept.items()}

    def start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, probe: Probe) -> None:
        super().start(trainer, pl_module, probe)
        self._silent, self._restored = self._restored, {}

    def skip(self) -> None:
        super().skip()
        self.dead = {}

    def on_activation(self, layer: Layer, key: str, function: str, y: Tensor) -> None:
        if y.ndim == 0:
            return
        y = local(y)
        if key not in self._found:
            self._found[key] = Activation(layer, function, self.probe.calls, y)
        self._found[key].add(y)

    def end_batch(self) -> None:
        self._hidden |= self.probe.paths.hidden

    def collect(self, trainer: pl.Trainer, outputs: Any, step: int) -> list[float]:
        """Copy everything to the host at once."""
        self._found = {
            key: each
            for key, each in self._found.items()
            if key in self._hidden and each.call < self.probe.calls
        }
        return measured(list(self._found.values()))

    def finish(self, trainer: pl.Trainer, numbers: list[float], step: int) -> None:
        """Describe the step in numbers, and write one event."""
        hidden = self._found
        self.latest, self.latest_step = {}, step
        of_all, active = iter(numbers), np.array(numbers[5 * len(hidden) :]) != 0
        first = 0
        for key, activation in hidden.items():
            tag = activation.layer.tag + key.removeprefix(activation.layer.name)
            units = slice(first, first + len(activation.fired))
            sums = [next(of_all) for _ in range(5)]
            self._describe(tag, key, activation, sums, active[units])
            first = units.stop
        if self.writes:
            names = {
                f"activation_{q}/{tag}": v for q, values in self.latest.items() for tag, v in values.items()
            }
            write_scalars(trainer, names, step)
        self._clear()

    def _describe(
        self, tag: str, key: str, activation: Activation, sums: list[float], active: np.ndarray
    ) -> None:
        count, total, squares, nonzero, saturated = sums
        if not count:
            return  # an empty batch, such as a detector's when there is nothing to detect
        mean = total / count
        values = {"mean": mean, "zero_fraction": (count - nonzero) / count}
        variance = squares / count - mean**2
        values["std"] = math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.nan
        if activation.saturates:
            values["saturated"] = saturated / count
        steps, silent = self._silent.get(key, (0, np.zeros(0)))
        if len(silent) != len(active):  # the first measurement, or the width has changed
            steps, silent = 0, np.zeros(len(active), dtype=int)
        steps, silent = steps + 1, np.where(active, 0, silent + 1)
        self._silent[key] = steps, silent
        self.units[tag] = len(active)
        if steps >= self.window:
            self.dead[tag] = np.flatnonzero(silent >= self.window).tolist()
            values["dead_units"] = len(self.dead[tag])
        for quantity, value in values.items():
            self.latest.setdefault(quantity, {})[tag] = value
