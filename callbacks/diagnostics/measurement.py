"""The numbers behind GradientMonitor: what one optimizer step found and did, for all parameters at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from callbacks.diagnostics.probe import Layer, Probe
from callbacks.diagnostics.reduction import local, norms, scaler_of, share
from callbacks.steps import steps_done

# Quantity -> tag -> value; for quantities of the whole model the tag is empty.
Scalars = dict[str, dict[str, float]]


class StepMeasurement:
    """Created just before the optimizer steps; nothing leaves the device before `parts`.

    Args:
        deltas: by layer, the norm of dL/dy for each call since the last optimizer step.
        signals: by layer, the norm of y and its number of values for each of these calls.
    """

    def __init__(
        self,
        trainer: pl.Trainer,
        probe: Probe,
        optimizer: Optimizer,
        deltas: dict[str, list[Tensor]],
        signals: dict[str, list[tuple[Tensor, int]]],
    ) -> None:
        self.step, self.optimizer, self.probe = steps_done(trainer), optimizer, probe
        owned = {id(p): p for group in optimizer.param_groups for p in group["params"]}
        self.parameters: list[tuple[Layer | None, str, Tensor]] = [
            (layer, name, parameter)
            for layer in probe.layers
            for name, parameter in layer.parameters()
            if parameter.requires_grad and id(parameter) in owned
        ]
        of_layers = {id(p) for _, _, p in self.parameters}
        # The optimizer may have tensors that no module owns; they count in the total.
        rest = [p for key, p in owned.items() if key not in of_layers and p.requires_grad]
        self.parameters += [(None, "", p) for p in rest]
        if not self.parameters:
            return
        self.device = local(self.parameters[0][2]).device
        self.deltas, self.signals = deltas, signals
        self._read_scale(trainer)
        self.had_grad = [p.grad is not None for _, _, p in self.parameters]
        self.before = [local(p).clone() for _, _, p in self.parameters]
        gradients = self._gradients()
        self.grad_norm, self.grad_sum = norms(gradients), norms(gradients, 1)
        self.weight_norm = norms(self.before)

    def _read_scale(self, trainer: pl.Trainer) -> None:
        """The loss scale as a tensor. A fused optimizer unscales inside its step: its gradients still carry the scale."""
        scaler = scaler_of(trainer)
        one = torch.ones((), device=self.device)
        # There is no public way to read the scale without waiting for the GPU.
        self.scale = one if scaler is None else scaler.scale(one)
        self.amp = scaler is not None
        self.still_scaled = self.amp and getattr(self.optimizer, "_step_supports_amp_scaling", False)

    def _gradients(self) -> list[Tensor]:
        return [local(p.grad) if p.grad is not None else local(p).new_zeros(1) for _, _, p in self.parameters]

    def after_step(self, clips: bool) -> list[Tensor]:
        """Everything measured, as 0-dimensional tensors in the order that `parts` expects."""
        if not self.parameters:
            return []
        self.clips = clips
        update_norm = norms(torch._foreach_sub([local(p) for _, _, p in self.parameters], self.before))
        clipped_norm = norms(self._gradients()) if clips else self.grad_norm
        deltas = [norm for calls in self.deltas.values() for norm in calls]
        signals = [norm for calls in self.signals.values() for norm, _ in calls]
        by_parameter = [*self.grad_norm, *self.weight_norm, *update_norm, *clipped_norm, *self.grad_sum]
        return [*by_parameter, *deltas, *signals, self.scale]

    def parts(self, trainer: pl.Trainer, numbers: Iterator[float]) -> list[float]:
        """This process's input to `interpret`, from the measured numbers, which are now on the host.

        Squares can be summed over shards, norms cannot. Each process sees its part of the batch, and the loss of the
        whole batch is the mean over the processes.
        """
        if not self.parameters:
            return []
        world = trainer.world_size
        shares = [share(p, trainer) if world > 1 else 1.0 for _, _, p in self.parameters]
        squares = [next(numbers) ** 2 * part for _ in range(4) for part in shares]
        sums = [next(numbers) * part for part in shares]
        counts = [tensor.numel() * part for tensor, part in zip(self.before, shares, strict=True)]
        deltas = {
            name: sum(next(numbers) ** 2 for _ in calls) / world**2 for name, calls in self.deltas.items()
        }
        signals = {
            name: sum(next(numbers) ** 2 / max(count, 1) for _, count in calls) / (len(calls) * world)
            for name, calls in self.signals.items()
        }
        names = [layer.name for layer in self.probe.layers]
        by_layer = [found.get(name, 0.0) for found in (deltas, signals) for name in names]
        seen = [float(name in deltas) for name in names]
        return [*squares, *sums, *counts, *map(float, self.had_grad), *seen, *by_layer, next(numbers) / world]

    def interpret(
        self,
        numbers: Iterator[float],
        scalars: Scalars,
        missing: list[str],
        selected: Callable[[Layer], bool],
        per_parameter: bool,
    ) -> float:
        """Turn the sums over all processes into `scalars`; returns the loss scale that deltas carried."""
        if not self.parameters:
            return 1.0
        layers = self.probe.layers
        columns = [[next(numbers) for _ in self.parameters] for _ in range(7)]
        rows = [list(row) for row in zip(*columns, strict=True)]
        seen, deltas, signals = ([next(numbers) for _ in layers] for _ in range(3))
        scale = next(numbers)
        gradient_scale = scale if self.still_scaled else 1.0
        for layer, delta, signal, has_delta in zip(layers, deltas, signals, seen, strict=True):
            own = [
                (name, row) for (of, name, _), row in zip(self.parameters, rows, strict=True) if of is layer
            ]
            if not own or not selected(layer):
                continue
            if not any(row[6] for _, row in own):
                missing.append(layer.tag)
            for tag, group in (
                [(f"{layer.tag}.{n}", [(n, r)]) for n, r in own] if per_parameter else [(layer.tag, own)]
            ):
                _describe(tag, group, gradient_scale, scalars)
            if has_delta:
                scalars.setdefault("delta_norm", {})[layer.tag] = math.sqrt(delta) / scale
                scalars.setdefault("signal_rms", {})[layer.tag] = math.sqrt(signal)
        self._describe_model(rows, scale, gradient_scale, scalars)
        return scale

    def _describe_model(
        self, rows: list[list[float]], scale: float, gradient_scale: float, scalars: Scalars
    ) -> None:
        unique = {id(p): row for (_, _, p), row in zip(self.parameters, rows, strict=True)}.values()
        total = math.sqrt(sum(row[0] for row in unique)) / gradient_scale
        scalars.setdefault("grad_norm_total", {})[""] = total
        if self.clips and total > 0:
            clipped = math.sqrt(sum(row[3] for row in unique)) / gradient_scale
            scalars["clip_factor"] = {"": clipped / total}
        if self.amp:
            scalars["amp_scale"] = {"": scale}


def _describe(tag: str, rows: list[tuple[str, list[float]]], gradient_scale: float, scalars: Scalars) -> None:
    """Describe a group of rows (name, [g^2, w^2, step^2, clipped^2, |g|, count, has a gradient])."""
    weights = [row for name, row in rows if "bias" not in name] or [row for _, row in rows]
    weight_norm = math.sqrt(sum(row[1] for row in weights))
    values = {"weight_norm": weight_norm}
    if any(row[6] for _, row in rows):
        values["grad_norm"] = math.sqrt(sum(row[0] for _, row in rows)) / gradient_scale
        values["grad_mean_abs"] = (
            sum(row[4] for row in weights) / sum(row[5] for row in weights) / gradient_scale
        )
    if weight_norm > 0:
        values["update_ratio"] = math.sqrt(sum(row[2] for row in weights)) / weight_norm
    for quantity, value in values.items():
        scalars.setdefault(quantity, {})[tag] = value
