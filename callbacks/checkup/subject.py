"""What the checks look at: copies of the module, a few batches, and what a training step does with them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.checkup.batches import leaves, map_leaves, one_pass, read, size_of, to_device, with_leaf
from callbacks.checkup.copying import CannotCheckError, Copy, DoesNotApplyError, Traced
from callbacks.checkup.functions import FunctionCall, FunctionRecorder
from callbacks.checkup.stepping import Steps
from callbacks.checkup.watching import Watch

NUM_BATCHES = 4


class Subject:
    """One training that is about to start. Nothing here changes it.

    Args:
        trainer: with its model, loaders and optimizers set up.
        module: the LightningModule that will be trained.
        seconds: how long reading data may take.
    """

    def __init__(self, trainer: pl.Trainer, module: pl.LightningModule, seconds: float) -> None:
        self.trainer, self.module, self.seconds = trainer, module, seconds

    # --- data ---

    @cached_property
    def batches(self) -> list[Any]:
        """The first training batches, at most `NUM_BATCHES`, as `training_step` gets them."""
        found = [to_device(self.trainer, batch) for batch in read(self.trainer.train_dataloader, NUM_BATCHES)]
        if not found:
            raise CannotCheckError("the training loader is empty")
        return found

    @property
    def batch(self) -> Any:
        """The first training batch."""
        return self.batches[0]

    @cached_property
    def val_batches(self) -> list[Any]:
        """The first batches of the (first) validation loader.

        Raises:
            CannotCheckError: without validation.
        """
        read_ahead = read(self.validation_loader, NUM_BATCHES, self.seconds)
        found = [to_device(self.trainer, batch) for batch in read_ahead]
        if not found:
            raise DoesNotApplyError("there is no validation data")
        return found

    def training_data(self, limit: int = 10**9) -> list[Any]:
        """As many training batches of one pass as can be read in the time, not moved to a device."""
        return self._training_data[:limit]

    def validation_data(self, limit: int = 10**9) -> list[Any]:
        """As many validation batches as can be read in the time, not moved to a device.

        Raises:
            CannotCheckError: without validation.
        """
        return self._validation_data[:limit]

    @cached_property
    def _training_data(self) -> list[Any]:
        return list(one_pass(self.trainer.train_dataloader, self.seconds))

    @cached_property
    def _validation_data(self) -> list[Any]:
        return list(one_pass(self.validation_loader, self.seconds))

    @property
    def validation_loader(self) -> Any:
        """The (first) validation loader.

        Raises:
            CannotCheckError: without validation.
        """
        loaders = self.trainer.val_dataloaders
        if isinstance(loaders, dict | list | tuple):
            loaders = next(iter(loaders.values() if isinstance(loaders, dict) else loaders), None)
        if loaders is None:
            raise DoesNotApplyError("there is no validation data")
        return loaders

    # --- copies ---

    def copy(self, *, double: bool = False, train: bool = True) -> Copy:
        """A new copy of the module and its optimizers, ready for a batch.

        Args:
            double: in float64, for exact comparisons; `as_double` converts a batch.
            train: False puts every part into eval mode. True leaves the modes as they are.

        Raises:
            CannotCheckError: if it cannot be made.
        """
        made = Copy(self.trainer, self.module)
        try:
            made.begin()
        except Exception as error:
            raise CannotCheckError(
                f"the module's hooks failed on a copy ({type(error).__name__}: {error})"
            ) from error
        if double:
            made.to_double()
        if not train:
            made.module.eval()
        return made

    @cached_property
    def still(self) -> Copy:
        """One copy for all checks that only trace; its weights never move."""
        return self.copy()

    @property
    def traces(self) -> list[Traced]:
        """A training step on each of the first two batches, with its graph; weights stay as they are."""
        return self._watched[0]

    @property
    def watch(self) -> Watch:
        """What ran inside these two steps."""
        return self._watched[1]

    @cached_property
    def _watched(self) -> tuple[list[Traced], Watch]:
        with Watch(self.still.module) as watch:
            traces = [self.still.trace(batch, number) for number, batch in enumerate(self.batches[:2])]
        return traces, watch

    @cached_property
    def steps(self) -> Steps:
        """What some real training steps of a copy did to its weights and gradients."""
        return Steps(self.copy(), self.batches, self.seconds)

    @property
    def traced(self) -> Traced:
        """The first of `traces`."""
        return self.traces[0]

    @cached_property
    def exact(self) -> Copy:
        """One copy in float64 and eval mode for comparisons to the last digit; no step moves its weights.

        Each weight has some noise added, a tenth of its tensor's rms, so that layers which start at 0 take part.
        """
        made = self.copy(double=True, train=False)
        with torch.no_grad():
            for parameter in made.module.parameters():
                size = parameter.square().mean().sqrt() if parameter.numel() else torch.zeros(())
                parameter.add_(torch.randn_like(parameter), alpha=0.1 * (size.item() or 1.0))
        return made

    @cached_property
    def functions(self) -> tuple[Traced, list[FunctionCall]]:
        """A step in eval mode on the first batch, with its graph, and the functions of torch that it called."""
        try:
            with FunctionRecorder() as recorder:
                return self.exact.trace(as_double(self.batch)), recorder.calls
        except CannotCheckError:  # not every module can work in float64
            with FunctionRecorder() as recorder:
                return self.copy(train=False).trace(self.batch), recorder.calls

    # --- inputs ---

    @cached_property
    def input_number(self) -> int:
        """Which tensor of the batch (see `leaves`) is the input: the first that is not the target and has N rows.

        Raises:
            CannotCheckError: if there is none.
        """
        tensors = leaves(self.batch)
        targets = {id(call.target) for call in self.traced.calls} | {
            call.target.untyped_storage().data_ptr() for call in self.traced.calls
        }
        size = size_of(self.batch)
        rows = [k for k, each in enumerate(tensors) if each.ndim >= 2 and len(each) == size]
        rows = rows or [k for k, each in enumerate(tensors) if each.ndim == 1 and len(each) == size]
        free = [k for k in rows if tensors[k].untyped_storage().data_ptr() not in targets]
        if not rows:
            raise CannotCheckError("no tensor of the batch looks like an input")
        return (free or rows)[0]  # an autoencoder's input is its target

    @property
    def inputs(self) -> Tensor:
        """The input of the first batch: (N, ...)."""
        return leaves(self.batch)[self.input_number]

    def with_inputs(self, batch: Any, inputs: Tensor) -> Any:
        """The batch with another input."""
        return with_leaf(batch, self.input_number, inputs)


def as_double(batch: Any) -> Any:
    """The batch with its floating-point tensors in float64."""
    return map_leaves(batch, lambda k, tensor: tensor.double() if tensor.is_floating_point() else tensor)


def rows_of(batch: Any, rows: Any) -> Any:
    """Some samples of a batch: every tensor that has an entry per sample is indexed.

    Args:
        batch: of N samples.
        rows: a slice or an index tensor.
    """
    size = size_of(batch)
    return map_leaves(
        batch, lambda k, tensor: tensor[rows] if tensor.ndim and len(tensor) == size else tensor
    )


def predict(copy: Copy, batch: Any, batch_idx: int = 0) -> Tensor:
    """What a copy predicts for a batch, without a graph; seeded, so that two calls draw the same random numbers."""
    traced = trace_without_graph(copy, batch, batch_idx)
    with torch.no_grad():
        return traced.prediction.detach()


def trace_without_graph(copy: Copy, batch: Any, batch_idx: int = 0) -> Traced:
    """A step of a copy without a graph, unless the step itself goes backward (by hand, or for a gradient penalty).

    Raises:
        CannotCheckError: if the step fails.
    """
    try:
        with torch.no_grad():
            return copy.trace(batch, batch_idx)
    except CannotCheckError:
        with torch.enable_grad():
            return copy.trace(batch, batch_idx)
