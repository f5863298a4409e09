"""ModelGraph: the operations of the network and their shapes, for TensorBoard's page "Graphs"."""

from __future__ import annotations

import contextlib
import copy
import io
import sys
import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor

from callbacks.checkup.copying import SHARED
from callbacks.diagnostics.reduction import is_sharded
from callbacks.observing import in_words, is_of_the_system


class ModelGraph(pl.Callback):
    """Traces `forward` once, with the inputs of the first batch, on a copy in eval mode; random states stay unchanged.

    The inputs are `example_input_array` if the module has one, else the first part of the batch. Loggers with a
    `write_graph(module, inputs)` get the graph. A network that cannot be traced has none, which one line says.

    It must come before the callbacks that put hooks on the module at the first batch.
    """

    def __init__(self) -> None:
        self._done = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._done = not trainer.is_global_zero or not any(
            hasattr(each, "write_graph") for each in trainer.loggers
        )

    def watches_next_step(self, trainer: pl.Trainer) -> bool:
        """Whether the next step's hook does anything."""
        return not self._done

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._done:
            return
        self._done = True
        if not is_overridden("forward", pl_module):
            return  # there is nothing to trace
        try:
            write_graph(trainer, pl_module, batch)
        except Exception as error:
            if is_of_the_system(error):
                raise
            rank_zero_info(f"TensorBoard shows no graph: forward cannot be traced ({in_words(error)[:150]})")


def write_graph(trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any) -> None:
    """Trace a copy, and give the graph to the loggers.

    Raises:
        Exception: any, if the module cannot be copied or traced.
    """
    if any(is_sharded(p, trainer) for p in pl_module.parameters()):
        raise ValueError("each process holds only a part of the model")
    with contextlib.ExitStack() as stack:
        stack.enter_context(isolate_rng(include_cuda=torch.cuda.is_available()))
        stack.enter_context(torch.no_grad())
        stack.enter_context(trainer.precision_plugin.forward_context())
        stack.enter_context(warnings.catch_warnings(action="ignore"))  # of what a trace cannot hold
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))  # PyTorch prints why a trace failed
        if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled, and the import takes a second
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        inputs, module = inputs_of(pl_module, batch), copy_of(pl_module)
        for logger in trainer.loggers:
            if hasattr(logger, "write_graph"):
                logger.write_graph(module, inputs)


def inputs_of(pl_module: pl.LightningModule, batch: Any) -> Any:
    """What `forward` gets.

    Raises:
        ValueError: if it is no tensor.
    """
    inputs = pl_module.example_input_array
    if inputs is None:
        inputs = batch[0] if isinstance(batch, list | tuple) else batch
    if not isinstance(inputs, Tensor | tuple):
        raise ValueError(f"the batch begins with {type(inputs).__name__}, not with a tensor")
    return copy.deepcopy(inputs)


def copy_of(pl_module: pl.LightningModule) -> pl.LightningModule:
    """A copy in eval mode, without a Trainer, and without copies of data that the module may hold."""
    data = {id(value): value for value in vars(pl_module).values() if isinstance(value, SHARED)}
    return copy.deepcopy(pl_module, data).eval()
