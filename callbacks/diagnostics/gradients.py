"""GradientMonitor: how large the gradient of each layer is, and how far each layer moves.

Tags, with `NN_layer` the layer's depth and name:

    grad_norm/NN_layer       L2 norm of the gradients of all its parameters
    grad_mean_abs/NN_layer   mean absolute gradient of its weights (its parameters without the biases)
    delta_norm/NN_layer      L2 norm of the layer's delta over the whole batch: dL/dy, with y the layer's output
    weight_norm/NN_layer     L2 norm of its weights before the step
    update_ratio/NN_layer    L2 norm of the step taken (weights after minus before) over weight_norm
    grad_norm_total          L2 norm over all parameters of the optimizer, as `clip_grad_norm_` returns it
    clip_factor              total norm after clipping over total norm before; 1 if nothing was clipped
    amp_scale                the loss scale of fp16 training

All gradients are those of the true loss: after accumulation and all-reduce, before clipping, without AMP's loss scale.
In manual optimization the user clips before the step, so they are the gradients that the optimizer gets.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.optim import Optimizer

from callbacks.diagnostics.measurement import StepMeasurement
from callbacks.diagnostics.monitor import Monitor
from callbacks.diagnostics.paths import LOSS
from callbacks.diagnostics.probe import Layer, Probe
from callbacks.diagnostics.reduction import local, norms, to_host
from callbacks.tensorboard import write_histogram, write_scalars

QUANTITIES = ("grad_norm", "grad_mean_abs", "delta_norm", "weight_norm", "update_ratio")


class GradientMonitor(Monitor):
    """Logs gradients, deltas, weights and updates of every layer. See the top of this file for the tags.

    Args:
        every_n_steps: optimizer steps between two measurements; default: the Trainer's `log_every_n_steps`. The
            first step of a training is always measured.
        include, exclude: one or more shell patterns over layer names, such as `encoder.*`. Totals always cover
            all parameters.
        per_parameter: one line per parameter (`NN_layer.weight`) instead of one per layer.
        histograms: also log a histogram of each layer's gradient (TensorBoard only; slow).

    Raises:
        ValueError: every_n_steps is not a positive integer, or no layer passes the patterns.

    `latest` holds the newest measurement as `latest[quantity][tag]`, of the step `latest_step`. For layers called several
    times in a forward pass, such as the cell of a hand-written recurrent network, `calls[tag]` has the delta norm of
    each call, in order of the forward pass. `missing` has the layers that got no gradient at all. `feeds[tag]` has the
    layers that get something from a layer without another one in between, and `LOSS`.
    """

    charts = QUANTITIES

    def __init__(
        self,
        every_n_steps: int | None = None,
        *,
        include: str | Sequence[str] = "*",
        exclude: str | Sequence[str] = (),
        per_parameter: bool = False,
        histograms: bool = False,
    ) -> None:
        self.include = [include] if isinstance(include, str) else list(include)
        self.exclude = [exclude] if isinstance(exclude, str) else list(exclude)
        self.per_parameter, self.histograms = per_parameter, histograms
        super().__init__(every_n_steps)

    def _forget(self) -> None:
        super()._forget()
        self.latest_loss: Any = None  # a number, still on the device; None if the step returned no loss
        self.calls: dict[str, list[float]] = {}
        self.missing: list[str] = []
        self.feeds: dict[str, set[str]] = {}

    def _clear(self) -> None:
        self._handles: list[Any] = []
        # by layer, one entry for each call since the last optimizer step
        self._deltas: dict[str, list[Tensor]] = {}
        self._signals: dict[str, list[tuple[Tensor, int]]] = {}
        self._call_norms: dict[str, dict[int, Tensor | None]] = {}
        self._calls: dict[str, list[float]] = {}
        self._optimizer_steps: list[StepMeasurement] = []

    @property
    def covers_all(self) -> bool:
        """Whether it measures all layers, and each as a whole."""
        return self.include == ["*"] and not self.exclude and not self.per_parameter

    def start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, probe: Probe) -> None:
        super().start(trainer, pl_module, probe)
        if not any(self._selected(layer) for layer in probe.layers):
            names = ", ".join(layer.name for layer in probe.layers)
            raise ValueError(
                f"GradientMonitor: no layer passes include={self.include} exclude={self.exclude}; "
                f"there are: {names}"
            )

    def _selected(self, layer: Layer) -> bool:
        def matches(patterns: list[str]) -> bool:
            return any(fnmatch.fnmatchcase(layer.name, pattern) for pattern in patterns)

        return matches(self.include) and not matches(self.exclude)

    # --- the forward and the backward pass ---

    def start_batch(self, batch: Any, batch_idx: int) -> None:
        self._call_norms.clear()  # if a step has several batches, the last one counts

    def on_layer_output(self, layer: Layer, outputs: list[Tensor]) -> None:
        for tensor in outputs:
            if tensor.requires_grad:
                calls = self._call_norms.setdefault(layer.name, {})
                calls[len(calls)] = None  # filled in by the backward pass
                hook = partial(self._on_delta, layer.name, len(calls) - 1)
                self._handles.append(tensor.register_hook(hook))
                values = local(tensor)
                self._signals.setdefault(layer.name, []).append((norms([values])[0], values.numel()))

    def _on_delta(self, name: str, call: int, gradient: Tensor) -> None:
        if self.skipped:
            return
        with self.shield:
            norm = norms([local(gradient)])[0]
            self._deltas.setdefault(name, []).append(norm)
            self._call_norms[name][call] = norm

    def end_batch(self) -> None:
        # A layer may return one of its own parameters, which would keep the hook.
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def skip(self) -> None:
        self.end_batch()
        super().skip()

    def before_backward(self, loss: Tensor) -> None:
        self.probe.paths.add_loss(loss)

    # --- the optimizer step ---

    def before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        if any(found.optimizer is optimizer for found in self._optimizer_steps):
            return  # LBFGS calls this several times in one step
        found = StepMeasurement(trainer, self.probe, optimizer, self._deltas, self._signals)
        self._optimizer_steps.append(found)
        self._deltas, self._signals = {}, {}
        if self.histograms and self.writes:
            self._write_histograms(trainer, found)

    def collect(self, trainer: pl.Trainer, outputs: Any, step: int) -> list[float]:
        """Measure the weights again, and copy everything to the host at once."""
        self.latest_loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        clips = bool(trainer.gradient_clip_val) or is_overridden(
            "configure_gradient_clipping", trainer.lightning_module
        )
        measured = [norm for found in self._optimizer_steps for norm in found.after_step(clips)]
        several = {name: calls for name, calls in self._call_norms.items() if len(calls) > 1}
        measured += [norm for calls in several.values() for norm in calls.values() if norm is not None]
        own = iter(to_host(measured))
        parts = [part for found in self._optimizer_steps for part in found.parts(trainer, own)]
        self._calls = {
            name: [0.0 if norm is None else next(own) for norm in calls.values()]
            for name, calls in several.items()
        }
        return parts

    def finish(self, trainer: pl.Trainer, numbers: list[float], step: int) -> None:
        """Describe the step in numbers, and write one event."""
        if self._optimizer_steps:
            self._describe(trainer, iter(numbers))
        self._clear()

    def stop(self) -> None:
        self.end_batch()
        super().stop()

    def _describe(self, trainer: pl.Trainer, numbers: Iterator[float]) -> None:
        scalars: dict[str, dict[str, float]] = {}
        self.missing, scale = [], 1.0
        for found in self._optimizer_steps:
            scale = found.interpret(numbers, scalars, self.missing, self._selected, self.per_parameter)
        tags = {layer.name: layer.tag for layer in self.probe.layers} | {LOSS: LOSS}
        feeds = self.probe.paths.feeds
        self.feeds = {tags[name]: {tags[each] for each in others} for name, others in feeds.items()}
        self.calls = {tags[name]: [norm / scale for norm in norms] for name, norms in self._calls.items()}
        self.latest, self.latest_step = scalars, self._optimizer_steps[0].step
        if self.writes:
            flat_scalars = {
                f"{quantity}/{tag}" if tag else quantity: value
                for quantity, values in scalars.items()
                if quantity != "signal_rms"
                for tag, value in values.items()
            }
            write_scalars(trainer, flat_scalars, self.latest_step)

    def _write_histograms(self, trainer: pl.Trainer, found: StepMeasurement) -> None:
        for layer in self.probe.layers:
            parts = [local(p.grad).flatten().float() for _, p in layer.parameters() if p.grad is not None]
            if parts and self._selected(layer):
                values = torch.cat(parts) / (found.scale.float() if found.still_scaled else 1.0)
                if bool(torch.isfinite(values).all()):
                    write_histogram(trainer, f"grad/{layer.tag}", values, found.step)
