"""What the published thresholds of other tools say of a training; each restated as a callback that only listens.

AUTOTRAINER (ICSE 2021): gradient of the first over the last layer, share of zero gradients, swings of the accuracy.
UMLAUT (CHI 2021): inputs, learning rate, validation accuracy, dropout; not "missing softmax", which PyTorch's losses make
wrong. TheDeepChecker: dead and saturated units, updates; not the overfitting of one batch.
torch-audit (PyPI): gradient norm, inputs, sparsity, BatchNorm on small batches, Adam with weight decay.
torchtest2 (PyPI) itself runs where it is installed, in a second training of one step, on batches (input, target).

`names` says which of our kinds an alarm is taken to name; it is generous where an alarm may mean several.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

EVERY = 5  # steps between two measurements, as for the diagnosis


Names = dict[str, tuple[str, ...]]  # alarm -> the kinds of faults that it could mean


class Rival(pl.Callback):
    """A tool whose alarms are kept with the step at which each came first."""

    name = ""
    names: ClassVar[Names] = {}

    def __init__(self) -> None:
        self.alarms: dict[str, int] = {}
        self.step = 0

    def alarm(self, alarm: str, condition: bool) -> None:
        if condition:
            self.alarms.setdefault(alarm, self.step)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.step = trainer.global_step

    def due(self) -> bool:
        return self.step % EVERY == 0


def weights(module: nn.Module) -> list[Tensor]:
    """The weights that have a gradient, from the first layer to the last."""
    return [p for p in module.parameters() if p.dim() > 1 and p.grad is not None]


def largest_input(batch: Any) -> float:
    """The largest absolute value of the first tensor of real numbers in a batch."""
    items = (
        batch.values() if isinstance(batch, dict) else batch if isinstance(batch, (list, tuple)) else [batch]
    )
    for item in items:
        if isinstance(item, Tensor) and item.is_floating_point():
            return float(item.abs().max())
    return 0.0


class AutoTrainer(Rival):
    """Vanishing: first over last gradient < 1e-3 and first < 1e-4; exploding: > 70; dying relu: >= 70 % zero gradients;
    oscillation: the accuracy changes by >= 0.03 in >= 20 % of the epochs."""

    name = "AUTOTRAINER"
    names: ClassVar[Names] = {
        "vanishing gradient": ("vanishing gradient", "vanishing gradient and signal", "gradient below float32",
                               "vanishing gradient through time", "no gradient", "identical units"),
        "exploding gradient": ("exploding gradient", "signal grows from layer to layer", "values not finite",
                               "initial loss too high"),
        "dying relu": ("dead units", "no gradient", "identical units"),
        "oscillating loss": ("oscillates", "learning rate far too high"),
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.accuracies: list[float] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        if not self.due() or len(grads := [p.grad for p in weights(pl_module)]) < 2:
            return
        first, last = float(grads[0].norm()), float(grads[-1].norm())
        ratio = first / last if last else math.inf
        self.alarm("vanishing gradient", ratio < 1e-3 and first < 1e-4)
        self.alarm("exploding gradient", not math.isfinite(first) or (last > 0 and ratio > 70))
        zeros = sum(int((g == 0).sum()) for g in grads) / sum(g.numel() for g in grads)
        self.alarm("dying relu", zeros >= 0.7)

    def on_validation_epoch_end(self, trainer, pl_module) -> None:
        if (accuracy := trainer.callback_metrics.get("val/accuracy")) is not None:
            self.accuracies.append(float(accuracy))

    def on_train_end(self, trainer, pl_module) -> None:
        changes = [abs(b - a) >= 0.03 for a, b in zip(self.accuracies, self.accuracies[1:], strict=False)]
        falls = [b < a - 0.03 for a, b in zip(self.accuracies, self.accuracies[1:], strict=False)]
        self.alarm("oscillating loss", any(falls) and sum(changes) >= 0.2 * len(changes))


class Umlaut(Rival):
    """Inputs outside [-1, 1]; learning rate > 0.01 or < 1e-7; validation accuracy > 0.95; dropout > 0.5."""

    name = "UMLAUT"
    names: ClassVar[Names] = {
        "inputs outside [-1, 1]": ("inputs not normalized", "features of very different scale", "values not finite"),
        "learning rate too high": ("learning rate far too high", "oscillates"),
        "learning rate too low": ("learning rate far too low", "learning rate is 0", "learning rate is gone",
                                  "schedule ends too early", "not converged"),
        "validation accuracy too good": ("validation rows are training rows",),
        "dropout too high": ("dropout too strong",),
    }  # fmt: skip

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self.alarm("inputs outside [-1, 1]", largest_input(batch) > 1)
        for optimizer in trainer.optimizers:
            rates = [float(group["lr"]) for group in optimizer.param_groups]
            self.alarm("learning rate too high", max(rates) > 0.01)
            self.alarm("learning rate too low", min(rates) < 1e-7)
        shares = [m.p for m in pl_module.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]
        self.alarm("dropout too high", max(shares, default=0) > 0.5)

    def on_validation_epoch_end(self, trainer, pl_module) -> None:
        self.alarm(
            "validation accuracy too good", float(trainer.callback_metrics.get("val/accuracy", 0)) > 0.95
        )


class Activations(Rival, ABC):
    """A rival that listens to the outputs of activations given as modules, at its steps."""

    kinds: tuple[type[nn.Module], ...] = (
        nn.ReLU,
        nn.LeakyReLU,
        nn.Tanh,
        nn.Sigmoid,
        nn.GELU,
        nn.ELU,
        nn.SiLU,
    )

    def on_train_start(self, trainer, pl_module) -> None:
        self.handles = [
            m.register_forward_hook(self.listen) for m in pl_module.modules() if isinstance(m, self.kinds)
        ]

    def on_train_end(self, trainer, pl_module) -> None:
        for handle in self.handles:
            handle.remove()

    def listen(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if module.training and self.due():
            self.heard(module, output.detach())

    @abstractmethod
    def heard(self, module: nn.Module, output: Tensor) -> None:
        """Take in the output of an activation."""


class TheDeepChecker(Activations):
    """Dead: 95th percentile of a unit < 1e-5 in > 50 % of a layer's units; saturated: > 0.85 of outputs beyond 0.95 of
    the limit; log10 of the update over the weights outside [-4, -1]."""

    name = "TheDeepChecker"
    names: ClassVar[Names] = {
        "dead units": ("dead units", "no gradient", "identical units"),
        "saturation": ("saturation", "inputs not normalized", "learning rate far too high"),
        "update too large": ("learning rate far too high", "exploding gradient"),
        "update too small": ("learning rate far too low", "learning rate is 0", "weights that do not move", "no gradient",
                             "vanishing gradient", "vanishing gradient and signal", "learning rate is gone",
                             "gradient below float32", "schedule ends too early", "always clipped"),
    }  # fmt: skip

    def heard(self, module: nn.Module, output: Tensor) -> None:
        units = output.flatten(2).transpose(1, 2).flatten(0, 1) if output.dim() > 2 else output
        if isinstance(module, nn.ReLU):
            dead = units.abs().float().quantile(0.95, dim=0) < 1e-5
            self.alarm("dead units", float(dead.float().mean()) > 0.5)
        if isinstance(module, (nn.Tanh, nn.Sigmoid)):
            centered = units if isinstance(module, nn.Tanh) else 2 * units - 1
            self.alarm("saturation", float((centered.abs() > 0.95).float().mean()) > 0.85)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        trained = [p for p in pl_module.parameters() if p.requires_grad and p.dim() > 1]
        self.before = [p.detach().clone() for p in trained] if self.due() else []
        self.trained = trained

    def on_train_batch_end(self, trainer, pl_module, *_: Any) -> None:
        for parameter, before in zip(self.trained, self.before, strict=False):
            if not (size := float(before.norm())):
                continue
            ratio = float((parameter.detach() - before).norm()) / size
            self.alarm("update too large", not ratio <= 1e-1)
            self.alarm("update too small", ratio < 1e-4)


class TorchAudit(Activations):
    """Gradient norm > 100; input > 50; sparsity of an activation > 0.90; BatchNorm on < 8 rows; Adam with decay."""

    name = "torch-audit"
    kinds = (nn.ReLU,)
    names: ClassVar[Names] = {
        "gradient norm": ("exploding gradient", "signal grows from layer to layer", "values not finite",
                          "initial loss too high", "gradients are not cleared", "targets of another scale"),
        "input range": ("inputs not normalized", "features of very different scale", "values not finite"),
        "sparsity": ("dead units",),
        "BatchNorm on a small batch": ("batch too small for BatchNorm",),
        "Adam with weight decay": ("weight decay stronger than the gradient",),
    }  # fmt: skip

    def heard(self, module: nn.Module, output: Tensor) -> None:
        self.alarm("sparsity", float((output == 0).float().mean()) > 0.9)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self.alarm("input range", not largest_input(batch) <= 50)
        norms = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in pl_module.modules())
        first = batch[0] if isinstance(batch, (list, tuple)) else None
        self.alarm("BatchNorm on a small batch", norms and isinstance(first, Tensor) and len(first) < 8)
        for optimizer in trainer.optimizers:
            decays = any(group.get("weight_decay") for group in optimizer.param_groups)
            self.alarm("Adam with weight decay", type(optimizer) is torch.optim.Adam and decays)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        if self.due() and (grads := [p.grad for p in weights(pl_module)]):
            norm = math.sqrt(sum(float(g.norm()) ** 2 for g in grads))
            self.alarm("gradient norm", not norm <= 100)


class TorchTest(Rival):
    """torchtest2's checks of the first batch; fails and warnings count alike. It needs a training of its own."""

    name = "torchtest2"
    names: ClassVar[Names] = {
        "output_finite": ("values not finite",),
        "output_varies": ("constant inputs", "identical units", "dead units"),
        "eval_determinism": ("dropout in evaluation",),
        "loss": ("cut off from the loss", "values not finite"),
        "initial_loss": ("initial loss too high", "signal grows from layer to layer"),
        "optimizer_coverage": ("parameters missing from the optimizer", "optimizer holds other tensors"),
        "gradient_flow": ("cut off from the loss", "unused layers", "no gradient", "dead units", "vanishing gradient",
                          "gradient below float32"),
        "gradient_magnitude": ("exploding gradient", "signal grows from layer to layer", "values not finite"),
        "params_change": ("learning rate is 0", "weights that do not move", "parameters missing from the optimizer",
                          "learning rate far too low", "no gradient"),
        "frozen_params": ("frozen weights that move",),
        "input_dependency": ("inputs that cannot matter", "constant inputs"),
        "batch_independence": ("samples influence each other", "softmax over the batch",
                               "attention weights over the wrong axis"),
        "overfit_batch": ("one batch cannot be fitted", "learning rate far too low", "learning rate far too high",
                          "not converged"),
    }  # fmt: skip

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        import torchtest2

        if not (isinstance(batch, (list, tuple)) and len(batch) == 2 and pl_module.automatic_optimization):
            return
        optimizer = trainer.optimizers[0]
        pl_module.trainer = None  # its plug-in calls training_step without a Trainer
        try:
            report = torchtest2.check_model(pl_module, *batch, optimizer=optimizer, plugin="lightning")
        finally:
            pl_module.trainer = trainer
        for result in report.results:
            self.alarm(result.name, result.status in (torchtest2.Status.FAIL, torchtest2.Status.WARN))


RIVALS: list[type[Rival]] = [AutoTrainer, Umlaut, TheDeepChecker, TorchAudit]
WITH_TRAININGS_OF_THEIR_OWN: list[type[Rival]] = [TorchTest] if find_spec("torchtest2") else []
