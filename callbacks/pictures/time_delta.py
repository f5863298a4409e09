"""A recurrent network: how far back in time its error reaches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from callbacks.data_spec import spec_of
from callbacks.diagnostics.probe import forward_hooks
from callbacks.pictures.base import Picture
from callbacks.pictures.network import array
from callbacks.pictures.style import BLUE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TimeDelta(Picture):
    """`depth/delta_over_time`: the gradient of the last prediction's error at each earlier hidden state.

    If it falls along a straight line on the log scale, it vanishes, and the network cannot learn what happened long
    ago (Bengio et al. 1994, https://doi.org/10.1109/72.279181). For models that hold one `nn.RNN`, `nn.GRU` or
    `nn.LSTM` with `batch_first`, and predict each next value of a series.
    """

    how_to_read: ClassVar = {
        "depth/delta_over_time": "How much the error at the last step depends on the state at step t: a level line "
        "means a long memory, a straight fall means that the past is forgotten.",
    }

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        recurrent = find_recurrent(pl_module)
        spec = spec_of(data)
        is_series = len(spec.in_shape) == 2 and spec.task == "regression"
        is_series = (
            is_series and spec.out_features == spec.in_shape[-1]
        )  # the next value, not a whole forecast
        return is_series and len(recurrent) == 1 and recurrent[0].batch_first

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        yield "depth/delta_over_time", draw_time_delta(deltas_over_time(pl_module, batch[0]))


def find_recurrent(pl_module: nn.Module) -> list[nn.RNNBase]:
    """The recurrent layers of a network."""
    return [module for module in pl_module.modules() if isinstance(module, nn.RNNBase)]


def deltas_over_time(pl_module: pl.LightningModule, x: Tensor) -> np.ndarray:
    """(T,), the norm of dL/dh_t over the whole batch x (N, T + 1, F), where h_t is everything passed on to step t + 1.

    L is the mean squared error of the last prediction. The fused layer does not expose the states in between, so it
    is called step by step.
    """
    (layer,) = find_recurrent(pl_module)
    states: list[tuple[Tensor, ...]] = []  # per step: h, or h and c of an LSTM

    def step_by_step(module: nn.Module, inputs: Any, output: Any) -> Any:
        state, outputs = None, []
        for step in inputs[0].split(1, dim=1):
            out, state = layer.forward(step, state)
            outputs.append(out)
            states.append(state if isinstance(state, tuple) else (state,))
        states[-1] = (outputs[-1],)  # no step follows, so the error comes from the output
        return torch.cat(outputs, dim=1), state

    # In eval mode, cuDNN's own layers have no backward pass.
    with forward_hooks([layer], step_by_step), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        loss = (pl_module(x[:, :-1])[:, -1] - x[:, -1]).square().mean()
        flat = [tensor for state in states for tensor in state]
        gradients = iter(torch.autograd.grad(loss, flat))
    norms = [torch.cat([next(gradients).flatten() for _ in state]).norm() for state in states]
    return array(torch.stack(norms))


def draw_time_delta(deltas: np.ndarray) -> Figure:
    """Norms (T,) over the time step, on a log scale that spans ten decades or more."""
    figure = new_figure()
    axes = figure.subplots()
    steps = np.arange(1, len(deltas) + 1)
    positive = deltas > 0
    axes.plot(steps[positive], deltas[positive], color=BLUE, marker="o", markersize=3)
    axes.set(xlabel="time step t", ylabel=r"$\|\partial L_T / \partial h_t\|$", yscale="log")
    if positive.any():
        top = 10.0 ** np.ceil(np.log10(deltas[positive].max()) + 0.1)
        axes.set_ylim(min(deltas[positive].min() / 3, top * 1e-10), top)
    axes.set_title(f"$L_T$: error of the prediction made at the last step, {len(deltas)}")
    axes.grid(alpha=0.3)
    figure.suptitle("Delta through time")
    return figure
