"""A copy of a LightningModule with its optimizers, which trains without a Trainer and leaves the original alone."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader, Dataset

from callbacks.checkup.stand_in import StandIn, nothing
from callbacks.diagnostics.loss_calls import LossCall, LossRecorder

SHARED = (Dataset, DataLoader, pl.LightningDataModule)  # not copied if a module holds one: they may be large


class CannotCheckError(Exception):
    """Why a check could not be made, in a few words."""


class DoesNotApplyError(CannotCheckError):
    """Why there is nothing to check, in a few words: there is no scheduler, no validation, ..."""


class Traced:
    """What one `training_step` of a copy did.

    Args:
        losses: what went backward: the returned loss, or in manual optimization every loss.
        calls: the loss functions that were called, with their inputs.
        output: what the module's `forward`, or else its last submodule, returned.
    """

    def __init__(self, losses: list[Tensor], calls: list[LossCall], output: Any) -> None:
        self.losses, self.calls, self.output = losses, calls, output

    @property
    def loss(self) -> Tensor:
        """The sum of all losses.

        Raises:
            CannotCheckError: if there is none.
        """
        if not self.losses:
            raise CannotCheckError("the training step gave no loss")
        return torch.stack([loss.sum() for loss in self.losses]).sum()

    @property
    def prediction(self) -> Tensor:
        """What the network predicts: the input of the first loss function, or else `output`.

        Raises:
            CannotCheckError: if neither is a tensor.
        """
        for call in self.calls:
            if call.input.requires_grad or not torch.is_grad_enabled():
                return call.input
        if isinstance(self.output, Tensor):
            return self.output
        raise CannotCheckError("the step calls no loss function of torch, and the module returns no tensor")


class _Backwards(TorchFunctionMode):
    """Notes each `loss.backward()` that a step calls itself.

    Args:
        events: gets ("backward", loss).
        keep: keep the graph, so that others can walk it afterwards.
    """

    def __init__(self, events: list[tuple[str, Any]], keep: bool) -> None:
        super().__init__()
        self.events, self.keep = events, keep

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.backward:
            self.events.append(("backward", args[0]))
            if self.keep and len(args) < 3:
                kwargs = {**(kwargs or {}), "retain_graph": True}
        return func(*args, **(kwargs or {}))


class Copy:
    """A module, its optimizers and its schedulers, copied together.

    Args:
        trainer: that of the original; only read.
        module: the original.

    Raises:
        CannotCheckError: if the module cannot be copied.
    """

    def __init__(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        stand_in = StandIn(trainer)
        memo: dict[int, Any] = {id(trainer): stand_in}
        for value in vars(module).values():
            if isinstance(value, SHARED):
                memo[id(value)] = value
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        try:
            copies = copy.deepcopy((module, list(trainer.optimizers), schedulers), memo)
            for original, made in zip(trainer.optimizers, copies[1], strict=True):
                _copy_attributes(original, made, memo)
        except Exception as error:
            raise CannotCheckError(
                f"the module cannot be copied ({type(error).__name__}: {_first_line(error)})"
            ) from error
        self.module, self.optimizers, self.schedulers = copies
        self.trainer = trainer
        self.dtype = torch.get_default_dtype()  # of the numbers that its steps draw
        self.still = False  # whether optimizers leave the weights alone
        self.logged: set[str] = set()  # names of the metrics that its steps logged
        self.events: list[tuple[str, Any]] = []  # of a manual step: ("backward", loss), ("step", optimizer)
        vars(stand_in)["optimizers"] = self.optimizers
        for each in self.module.modules():
            if isinstance(each, pl.LightningModule):
                vars(each)["_trainer"] = stand_in  # Lightning leaves it out of a copy
        self._detach_from_training()

    def _detach_from_training(self) -> None:
        """Make what would reach the real Trainer stay with the copy."""
        module, own = self.module, vars(self.module)
        if getattr(module, "_compiler_ctx", None) is not None:  # compiled steps belong to the original
            for name in ("forward", "training_step", "validation_step"):
                own.pop(name, None)
        for optimizer in self.optimizers:
            self._make_manual(optimizer)
        everything = self.optimizers[0] if len(self.optimizers) == 1 else self.optimizers
        schedulers = self.schedulers[0] if len(self.schedulers) == 1 else self.schedulers
        own.update(log=self._note_name, log_dict=self._note_names, print=nothing)
        own["optimizers"] = lambda use_pl_optimizer=True: everything
        own["lr_schedulers"] = lambda: schedulers or None
        own["manual_backward"] = self._backward

    def _note_name(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.logged.add(name)

    def _note_names(self, metrics: Any, *args: Any, **kwargs: Any) -> None:
        self.logged.update(metrics.keys())

    def _make_manual(self, optimizer: Any) -> None:
        """Give a plain optimizer what `self.optimizers()` of a module returns has besides, and note its steps."""
        step = optimizer.step

        def noted_step(closure: Any = None, **kwargs: Any) -> Any:
            self.events.append(("step", optimizer))
            if not self.still:
                return step(closure) if closure is not None else step()
            return closure() if closure is not None else None

        vars(optimizer).update(step=noted_step, optimizer=optimizer)
        vars(optimizer)["toggle_model"] = lambda sync_grad=True: contextlib.nullcontext()

    def _backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        loss.backward(*args, **kwargs)  # `_Backwards` notes it

    def begin(self) -> None:
        """Call the hooks with which a module prepares itself for the first batch."""
        for name in ("on_train_start", "on_train_epoch_start"):
            getattr(self.module, name)()

    def to_double(self) -> None:
        """Compute in float64, also with the noise that a step draws."""
        self.module.double()
        self.dtype = torch.float64

    def trace(self, batch: Any, batch_idx: int = 0) -> Traced:
        """Run `training_step`, seeded, without moving a weight; nothing goes backward but in manual optimization.

        Raises:
            CannotCheckError: if the step fails.
        """
        torch.manual_seed(0)
        self.still, self.events = True, []
        with LossRecorder() as recorder, self._outputs() as outputs, self._as_trained():
            result = self._call("training_step", batch, batch_idx)
        manual = [loss for name, loss in self.events if name == "backward"]
        result = result.get("loss") if isinstance(result, dict) else result
        automatic = [result] if isinstance(result, Tensor) and self.module.automatic_optimization else []
        return Traced(automatic or manual, recorder.calls, outputs.get("root", outputs.get("last")))

    def validate(self, batch: Any, batch_idx: int = 0) -> None:
        """Run `validation_step` in eval mode, seeded; afterwards the modes are as they were.

        Raises:
            CannotCheckError: if the step fails.
        """
        torch.manual_seed(0)
        self.still, modes = True, {part: part.training for part in self.module.modules()}
        self.module.eval()
        try:
            with self._as_trained():
                self._call("validation_step", batch, batch_idx)
        finally:
            for part, training in modes.items():
                part.training = training

    def step(self, batch: Any, batch_idx: int = 0) -> Tensor:
        """Run one real training step; returns its loss.

        Raises:
            CannotCheckError: if the step fails or gives no loss.
        """
        self.still, self.events = False, []
        if not self.module.automatic_optimization:
            with self._as_trained():
                self._call("training_step", batch, batch_idx)
            losses = [loss.detach() for name, loss in self.events if name == "backward"]
            return torch.stack([loss.sum() for loss in losses]).sum() if losses else torch.zeros(())
        losses = []

        def closure() -> Tensor:
            with self._as_trained():
                result = self._call("training_step", batch, batch_idx)
            loss = result.get("loss") if isinstance(result, dict) else result
            if not isinstance(loss, Tensor):
                raise CannotCheckError("the training step gave no loss")
            losses.append(loss.detach())
            self.module.optimizer_zero_grad(0, batch_idx, self.optimizers[0])
            self.events.append(("backward", loss))
            self.module.backward(loss)
            self._clip(self.optimizers[0])
            return loss

        self.module.optimizer_step(0, batch_idx, self.optimizers[0], closure)
        return losses[-1]

    def _clip(self, optimizer: Optimizer) -> None:
        trainer = self.trainer
        if trainer.gradient_clip_val or is_overridden("configure_gradient_clipping", self.module):
            self.module.configure_gradient_clipping(
                optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
            )

    def _call(self, name: str, batch: Any, batch_idx: int) -> Any:
        method = getattr(self.module, name)
        parameters = inspect.signature(method).parameters
        if "dataloader_iter" in parameters:
            raise CannotCheckError(f"{name} fetches its own batches")
        takes_any = any(each.kind is each.VAR_POSITIONAL for each in parameters.values())
        try:
            return method(batch, batch_idx) if takes_any or len(parameters) > 1 else method(batch)
        except CannotCheckError:
            raise
        except Exception as error:
            where = (
                "a copy in float64, as exact comparisons need" if self.dtype == torch.float64 else "a copy"
            )
            raise CannotCheckError(
                f"{name} failed on {where} ({type(error).__name__}: {_first_line(error)})"
            ) from error

    def _as_trained(self) -> contextlib.AbstractContextManager:
        """The precision of the training, without compiled code."""
        stack = contextlib.ExitStack()
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(self.dtype)
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(self.trainer.precision_plugin.forward_context())
        stack.enter_context(_Backwards(self.events, keep=self.still))
        return stack

    @contextlib.contextmanager
    def _outputs(self) -> Iterator[dict[str, Any]]:
        """What the module's forward ("root") and the last of its children ("last") returned."""
        outputs: dict[str, Any] = {}
        modules = [("root", self.module), *(("last", child) for child in self.module.children())]

        def keep(name: str) -> Any:
            return lambda module, inputs, output: outputs.update({name: output})

        handles = [module.register_forward_hook(keep(name)) for name, module in modules]
        try:
            yield outputs
        finally:
            for handle in handles:
                handle.remove()


def _copy_attributes(original: Optimizer, made: Optimizer, memo: dict[int, Any]) -> None:
    """Copy what an optimizer leaves out when it is copied, such as the list of parameters of LBFGS.

    Its methods stay its own: a scheduler replaces `step` by one that steps the original.
    """
    for name, value in vars(original).items():
        if name not in vars(made) and not callable(value):
            vars(made)[name] = copy.deepcopy(value, memo)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:150]
