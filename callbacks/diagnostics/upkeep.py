"""What one step must leave in order for the next: gradients that are cleared, and layers in training mode."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from callbacks.diagnostics.monitor import Monitor
from callbacks.diagnostics.probe import clean_path
from callbacks.diagnostics.reduction import local
from callbacks.diagnostics.verdict import Verdict
from callbacks.steps import steps_done

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_NORMS = nn.modules.batchnorm._NormBase


class Upkeep(Monitor):
    """Checks at probe steps, and from there to each optimizer's next step; it needs no hooks on layers.

    `verdicts` are what it found so far.
    """

    def _forget(self) -> None:
        super()._forget()
        self.verdicts: dict[str, Verdict] = {}
        self._modes: dict[str, bool] | None = None  # of all modules, at the first batch
        self._backwards = 0  # since then

    def _clear(self) -> None:
        self._stepped: dict[int, Optimizer] = {}  # at the last probe step, and not cleared since

    def is_due(self, step: int) -> bool:
        self._probing = super().is_due(step)
        return self._probing or bool(self._stepped)

    def listens(self) -> bool:
        return False

    def start_batch(self, batch: Any, batch_idx: int) -> None:
        if not self._probing:
            return
        modes = {name: module.training for name, module in self.probe.model.named_modules()}
        if self._modes is None:
            self._modes = modes
        left = [name for name, training in modes.items() if not training and self._modes.get(name, False)]
        found = _judge_modes(self.probe.model, left)
        if found is not None:
            self.verdicts[found.kind] = found
        else:
            self.verdicts.pop("layers in eval mode", None)
        with_graph = [name for name, p in self.probe.model.named_parameters() if p.grad_fn is not None]
        if with_graph:
            self.verdicts["weights that keep a graph"] = _keeps_graph(with_graph)

    def before_backward(self, loss: Tensor) -> None:
        """Forget the optimizers whose gradients were cleared."""
        self._backwards += bool(self._stepped)
        for key, optimizer in list(self._stepped.items()):
            if not _holds_gradients(optimizer):
                del self._stepped[key]

    def before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        if self._stepped.pop(id(optimizer), None) is not None:
            # without a call of `manual_backward` nothing is known of the time between
            if self._backwards:
                self.verdicts["gradients are not cleared"] = _not_cleared(steps_done(trainer))
        elif self._probing and _changes_weights(optimizer):
            self._stepped[id(optimizer)] = optimizer
            self._backwards = 0


def _holds_gradients(optimizer: Optimizer) -> bool:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = [local(p.grad) for p in parameters if p.grad is not None]
    return any(bool(norm) for norm in torch._foreach_norm(gradients)) if gradients else False


def _changes_weights(optimizer: Optimizer) -> bool:
    return any(group.get("lr", 1.0) != 0 for group in optimizer.param_groups)


def _not_cleared(step: int) -> Verdict:
    message = (
        f"at step {step} the gradients of the step before were still there when the next ones were added: every step "
        "goes along the sum of all gradients so far."
    )
    advice = "optimizer.zero_grad() before the backward pass; Lightning does it unless `optimizer_zero_grad` is replaced"
    return Verdict("gradients are not cleared", [], message, advice)


def _keeps_graph(names: list[str]) -> Verdict:
    first = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} others"
    message = (
        f"between two steps {first} had a grad_fn: they were changed in place with gradients on, so each step makes "
        "their graph, and the memory that it takes, longer."
    )
    advice = "torch.no_grad() around the code that changes them, such as an average of weights"
    return Verdict("weights that keep a graph", [clean_path(name) for name in names], message, advice)


def _judge_modes(model: nn.Module, left: list[str]) -> Verdict | None:
    """Judge the modules that trained at the first step and are in eval mode now.

    A backbone without trainable parameters may be in eval mode on purpose, and so may normalization layers alone, so that
    their running statistics stay as they are.
    """
    modules = dict(model.named_modules())
    tops = [name for name in left if name == "" or _parent(name) not in left]
    tops = [name for name in tops if not _is_frozen(modules[name])]
    inner = [name for name in left if any(top in ("", name) or name.startswith(top + ".") for top in tops)]
    dropouts = [name for name in inner if _drops(modules[name])]
    norms = [name for name in inner if isinstance(modules[name], _NORMS)]
    if not dropouts and not norms:
        return None
    layers = [clean_path(name) for name in dropouts + norms]
    effects = ["dropout is off"] * bool(dropouts) + ["running statistics stay as they are"] * bool(norms)
    whole = "the whole network" if tops == [""] else ", ".join(clean_path(name) for name in tops)
    message = f"{whole} trained at the first step and is in eval mode now, so {' and '.join(effects)}."
    advice = "self.train() after the code that calls eval(), or torch.no_grad() alone if only gradients were to be off"
    return Verdict(
        "layers in eval mode", layers, message, advice, "warn" if dropouts or tops == [""] else "info"
    )


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(p.requires_grad for p in parameters)


def _drops(module: nn.Module) -> bool:
    if isinstance(module, _DROPOUTS):
        return module.p > 0
    return isinstance(module, nn.RNNBase | nn.MultiheadAttention) and float(module.dropout) > 0
