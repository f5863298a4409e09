"""NonFiniteGuard: which layer produced the first NaN or infinity, and whether in the forward or the backward pass.

A check takes the loss and makes one fused pass over all gradients. If something is not finite, the step is run again on
the same batch with every module watched, before the optimizer spreads the value over the weights. Checks are made when
Lightning logs, and at every step under fp16's loss scaler, because the host waits for the scaler anyway.

On a CPU the steps in between get a quick check. It covers only the gradients of the bottom layers, because a NaN from
the loss or a higher layer flows down to them. In a layer with biases the biases' gradients are enough: they sum up
everything that flows down to the layer. The quick check can miss two cases: masks can stop a NaN on its way down, such
as relu units that are off for every sample; and a product of finite factors can overflow in the gradient of a higher
layer's weight. Both show in the next step.

The tag `nonfinite/NN_layer` counts NaN and infinite values in the layer's gradients, when the Trainer logs, and at
every checked step that has any.
"""

from __future__ import annotations

import cmath
import math
import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from callbacks.diagnostics.monitor import Cadence, Monitor
from callbacks.diagnostics.origin import all_finite, find_origin
from callbacks.diagnostics.probe import Layer, Probe
from callbacks.diagnostics.reduction import is_sharded, local, scaler_of, sum_over_processes, to_host
from callbacks.observing import Observing
from callbacks.steps import steps_done
from callbacks.tensorboard import write_scalars

SMALLEST_SCALE = 1.0  # with a loss scale below 1, the true gradient itself is beyond fp16's 65504


class NonFiniteGuard(Monitor):
    """Names the first layer where a NaN or infinity appears, and warns or stops.

    Args:
        action: "warn" prints once per outbreak; "stop" raises before the weights are touched.
        every_n_steps: optimizer steps between two checks; 1 always catches the value at its origin. Default: when
            Lightning logs or the loss scaler waits; on a CPU all other steps get a quick check.

    Raises:
        ValueError: an unknown action, or every_n_steps is not a positive integer.
        FloatingPointError: while training, with action="stop".

    Under fp16, an infinite gradient with a finite loss is an overflow: the scaler skips the step and lowers its
    scale. It is reported as an overflow, and is a problem only if the scale falls below 1. `reports` keeps the
    messages; `overflows` and `bad_steps` count the steps of each kind.
    """

    charts = ("nonfinite",)
    raises = (FloatingPointError,)

    def __init__(self, action: str = "warn", *, every_n_steps: int | None = None) -> None:
        if action not in ("warn", "stop"):
            raise ValueError(f"action={action!r} is unknown; give 'warn' or 'stop'")
        self.action = action
        super().__init__(every_n_steps)

    def _forget(self) -> None:
        super()._forget()
        self.reports: list[str] = []
        self.overflows = self.bad_steps = 0
        self._bad = False  # whether the step before was bad
        self._written: dict[str, float] = {}  # counts of the step `_written_step`
        self._written_step: int | None = None

    def _clear(self) -> None:
        self._loss: Tensor | None = None
        self._batch: tuple[Any, int] | None = None
        self._bottom: dict[int, list[Tensor]] = {}  # by id of the optimizer: the tensors of the quick check

    def start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, probe: Probe) -> None:
        super().start(trainer, pl_module, probe)
        self._checks_quickly = pl_module.device.type == "cpu" and self.every_n_steps is None
        always = scaler_of(trainer) is not None
        self._cadence = Cadence(self.every_n_steps or (1 if always else None), trainer)
        self._logs = Cadence(None, trainer)
        self._sharded = any(is_sharded(p, trainer) for p in pl_module.parameters())

    def is_due(self, step: int) -> bool:
        self._checks_all = super().is_due(step)
        return self._checks_all or self._checks_quickly or self.listens()

    def listens(self) -> bool:
        return not self.probe.ordered  # listens for one step, to learn the layers' depth

    def start_batch(self, batch: Any, batch_idx: int) -> None:
        self._batch = batch, batch_idx

    def end_batch(self) -> None:
        self._batch = None

    def before_backward(self, loss: Tensor) -> None:
        if not self._checks_all:
            return
        loss = loss.detach()
        # a NaN in any of the accumulated batches stays in the sum
        self._loss = loss if self._loss is None else self._loss.float() + loss

    def before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        loss, self._loss = self._loss, None
        if not self._checks_all and not self._checks_quickly:
            return
        if not self._checks_all and self._seems_finite(optimizer):
            self._bad = False
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not self._anywhere(trainer, not _all_finite(gradients, loss)):
            self._bad = False
            if self._checks_all and self._logs.due(steps_done(trainer)):
                self._write_counts(trainer, {layer.tag: 0.0 for layer in self.probe.layers})
            return
        layers = self.probe.layers
        counts = self._of_all_processes(trainer, [_count(layer) for layer in layers])
        self._write_counts(trainer, {layer.tag: n for layer, n in zip(layers, counts, strict=True)})
        self._judge(
            trainer, pl_module, loss, [layer.name for layer, n in zip(layers, counts, strict=True) if n]
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.overflows:
            rank_zero_info(f"NonFiniteGuard: the scaler skipped {self.overflows} steps that overflowed fp16.")
        if self.bad_steps > 1:
            rank_zero_warn(
                f"NonFiniteGuard: {self.bad_steps} steps were not finite. First: {self.reports[0]}"
            )

    def _seems_finite(self, optimizer: Optimizer) -> bool:
        """The quick check. Shards are not checked this way, because another process may hold a bad one."""
        if self._sharded:
            return False
        parameters = self._bottom.get(id(optimizer))
        if parameters is None:
            few = {id(p) for layer in self.probe.bottom for p in collecting(layer)}
            every = [p for group in optimizer.param_groups for p in group["params"]]
            parameters = self._bottom[id(optimizer)] = [p for p in every if id(p) in few] or every
        total: complex = 0.0
        for parameter in parameters:
            if parameter.grad is not None:
                total += parameter.grad.sum().item()
        return cmath.isfinite(total)

    def _anywhere(self, trainer: pl.Trainer, bad: bool) -> bool:
        """Whether this process found something bad or, if the model is sharded, any other process did."""
        return any(self._of_all_processes(trainer, [int(bad)])) if self._sharded else bad

    def _of_all_processes(self, trainer: pl.Trainer, counts: list[int]) -> list[float]:
        """Sums over the shards; without shards every process sees all gradients, so nothing is sent."""
        numbers = [float(count) for count in counts]
        return sum_over_processes(trainer, numbers) if self._sharded else numbers

    def _write_counts(self, trainer: pl.Trainer, counts: dict[str, float]) -> None:
        """Write the counts of a step; if several optimizers step in it, the largest."""
        step = steps_done(trainer)
        if step == self._written_step:
            counts = {tag: max(count, self._written.get(tag, 0.0)) for tag, count in counts.items()}
        if step != self._written_step or counts != self._written:
            write_scalars(trainer, {f"nonfinite/{tag}": count for tag, count in counts.items()}, step)
        self._written_step, self._written = step, counts

    def _judge(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor | None, layers: list[str]
    ) -> None:
        """Decide what happened, report it once, and stop if asked to. `layers` have non-finite gradients."""
        step = steps_done(trainer)
        scaler = scaler_of(trainer)
        loss_is_finite = loss is None or bool(torch.isfinite(loss))
        if scaler is not None and loss_is_finite and scaler.get_scale() >= SMALLEST_SCALE:
            self.overflows += 1
            if self.overflows == 1:
                where = (
                    f"first in the backward pass, in layer {layers[-1]}" if layers else "in the loss scale"
                )
                self.reports.append(
                    f"step {step}: fp16 overflow at loss scale {scaler.get_scale():g}, {where}. This is "
                    "normal early in training: the scaler skips the step and lowers its scale."
                )
                rank_zero_info(f"NonFiniteGuard: {self.reports[-1]}")
            return
        self.bad_steps += 1
        if self._bad:
            return
        self._bad = True
        origin = None
        if self._batch is not None:
            with Observing(self), self.probe.paused():
                origin = find_origin(trainer, pl_module, *self._batch)
        says = origin is not None or trainer.is_global_zero  # another process may have the bad batch
        if origin is None:
            name = layers[-1] if layers else "unknown"
            origin = f"first in the backward pass, in layer {name} (seen by its gradient)"
        self.reports.append(f"step {step}: {origin}")
        message = f"NonFiniteGuard, {self.reports[-1]}"
        if self.action == "stop":
            raise FloatingPointError(message)
        if says:
            warnings.warn(message, stacklevel=2)


def _all_finite(gradients: list[Tensor], loss: Tensor | None) -> bool:
    """One pass over all gradients; from an accelerator, only one number besides the loss goes to the host.

    If the sum is finite, all terms are. If it is not, the sum itself may have overflowed, so each value is checked.
    """
    if loss is not None and not math.isfinite(loss.item() if loss.numel() == 1 else loss.sum().item()):
        return False
    if not gradients:
        return True
    parts = [g if type(g) is Tensor and not g.is_sparse else local(g) for g in gradients]
    return cmath.isfinite(_total(parts)) or all(all_finite(local(part)) for part in parts)


def _total(tensors: list[Tensor]) -> complex:
    """The sum of all values; on an accelerator the sum of the tensors' norms, which needs fewer kernel launches."""
    if tensors[0].device.type != "cpu":
        return sum(to_host(list(torch._foreach_norm(tensors))))
    return sum(tensor.sum().item() for tensor in tensors)


def collecting(layer: Layer) -> list[Tensor]:
    """The parameters whose gradients sum up what flows down to a layer: its biases, or all if it has none."""
    trained = [(name, p) for name, p in layer.parameters() if p.requires_grad]
    return [p for name, p in trained if "bias" in name] or [p for _, p in trained]


def _count(layer: Layer) -> int:
    gradients = [local(p.grad) for _, p in layer.parameters() if p.grad is not None]
    return sum(int((~torch.isfinite(g)).sum()) for g in gradients)
