"""Run one training step again to find where its first NaN or infinity comes from."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from callbacks.diagnostics.probe import clean_path, forward_hooks, tensors_in
from callbacks.diagnostics.reduction import is_sharded, scaler_of


def all_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor.detach()).all())


def find_origin(trainer: pl.Trainer, model: pl.LightningModule, batch: Any, batch_idx: int) -> str | None:
    """Where the first non-finite value appears, in the forward or the backward pass, in words.

    None if the step cannot be run again (sharded parameters, manual optimization), or if nothing shows: then it was
    another process's batch, or an earlier one of the accumulated batches.
    """
    if not model.automatic_optimization or any(is_sharded(p, trainer) for p in model.parameters()):
        return None
    if not all(all_finite(tensor) for tensor in tensors_in(batch)):
        return "first in the batch: the data that went into the model hold NaN or infinity; check them."
    watch = _Watch(model)
    with forward_hooks(watch.names, watch.note) as watch.handles, _untouched(trainer, model):
        takes = len(inspect.signature(model.training_step).parameters)
        output = model.training_step(*[batch, batch_idx][:takes])
        loss = output["loss"] if isinstance(output, dict) else output
        if watch.forward is None and all_finite(loss):
            scaler = scaler_of(trainer)
            scaled = loss if scaler is None else scaler.scale(loss)
            parameters = [p for p in model.parameters() if p.requires_grad]
            watch.gradients = torch.autograd.grad(scaled.sum(), parameters, allow_unused=True)
    return _in_forward(watch) or _in_loss(loss) or _in_backward(watch) or _in_gradients(watch, model)


class _Watch:
    """What every module did in the second run: the first non-finite output, and the non-finite gradients."""

    def __init__(self, model: nn.Module) -> None:
        self.names = {m: clean_path(path) for path, m in model.named_modules() if clean_path(path)}
        self.forward: tuple[nn.Module, Tensor] | None = None  # the first module with a non-finite output
        self.finished: list[str] = []  # calls in order of the forward pass
        self.backward: set[int] = set()  # calls whose output got a non-finite gradient
        self.gradients: tuple[Tensor | None, ...] = ()
        self.handles: list[Any] = []  # of the hooks

    def note(self, module: nn.Module, inputs: Any, output: Any) -> None:
        call = len(self.finished)
        self.finished.append(self.names[module])
        for tensor in tensors_in(output):
            if self.forward is None and not all_finite(tensor):
                self.forward = (module, tensor.detach().clone())
            if tensor.requires_grad:
                self.handles.append(tensor.register_hook(lambda g, call=call: self._on_gradient(call, g)))

    def _on_gradient(self, call: int, gradient: Tensor) -> None:
        if not all_finite(gradient):
            self.backward.add(call)


def _in_forward(watch: _Watch) -> str | None:
    if watch.forward is None:
        return None
    module, output = watch.forward
    bad = int((~torch.isfinite(output)).sum())
    kind = "NaN" if bool(output.isnan().any()) else "infinity"
    name = f"{watch.names[module]} ({type(module).__name__})"
    text = f"{kind} first in the forward pass, in the output of {name}, {bad} of {output.numel()} values"
    held = [name for name, p in module.named_parameters(recurse=False) if not all_finite(p)]
    if held:
        return f"{text}; its {' and '.join(held)} held such values already. Go back to an earlier checkpoint."
    return f"{text}. Try a lower learning rate, or look for a division, log or sqrt at 0 there."


def _in_loss(loss: Tensor) -> str | None:
    if all_finite(loss):
        return None
    return (
        "first in the loss: the output of every layer is finite, the loss is not. Look for log or sqrt of 0 "
        "or a division by 0; use the losses that take logits."
    )


def _in_backward(watch: _Watch) -> str | None:
    """The bad gradient starts after the last call, in forward order, that got one: in the next call or in the loss."""
    if not watch.backward:
        return None
    last = max(watch.backward)
    above = watch.finished[last + 1] if last + 1 < len(watch.finished) else "the loss"
    return (
        f"first in the backward pass, in {above}: the gradient that it hands down to {watch.finished[last]} "
        "is not finite. Try gradient clipping or a lower learning rate, or look for sqrt or norm at 0 there."
    )


def _in_gradients(watch: _Watch, model: nn.Module) -> str | None:
    names = [clean_path(name) for name, p in model.named_parameters() if p.requires_grad]
    pairs = zip(names, watch.gradients, strict=False)
    bad = [name for name, gradient in pairs if gradient is not None and not all_finite(gradient)]
    return f"first in the backward pass, in the gradient of {bad[-1]}." if bad else None


@contextlib.contextmanager
def _untouched(trainer: pl.Trainer, model: pl.LightningModule) -> Iterator[None]:
    """Run the step for its numbers only: random states, buffers and log entries stay as they were."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    devices = [model.device] if model.device.type == "cuda" else []
    silenced = {name: model.__dict__.get(name) for name in ("log", "log_dict")}
    model.__dict__.update(dict.fromkeys(silenced, lambda *args, **kwargs: None))
    try:
        with (
            torch.random.fork_rng(devices=devices),
            torch.compiler.set_stance("force_eager"),
            torch.enable_grad(),
            trainer.precision_plugin.train_step_context(),
        ):
            yield
    finally:
        for name, value in silenced.items():
            if value is None:
                del model.__dict__[name]
            else:
                model.__dict__[name] = value
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
