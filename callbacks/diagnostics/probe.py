"""What happens inside a LightningModule: its layers by depth, and hooks that live for one batch.

A *layer* is a module that owns parameters (Linear, Conv2d, BatchNorm, LSTM, ...). Its tag is `NN_name`, where `NN` is its
depth: the position, from 00, at which it finished its first forward pass. A *probe step* is an optimizer step at which
something is measured; at every other step nothing in this file runs.

`forward_hooks` watches one forward pass: `origin` uses it to check that every module's output is finite, and
`pictures.forward` keeps the outputs of the innermost modules. The Probe has its own hooks, because it stays attached
while Lightning trains. It counts depth, ignores what is run a second time (activation checkpointing), and sees
functions as well as modules.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from callbacks.diagnostics.loss_calls import LOSSES, LossCall, loss_call

# Every elementwise nonlinearity of torch by the name of its function. A relu is the same, whether it is called as
# nn.ReLU, F.relu, torch.relu, x.relu() or x.relu_() (the last underscore is removed before the lookup).
RELU_LIKE = {"relu", "relu6", "threshold", "clamp_min", "leaky_relu", "rrelu", "prelu", "elu", "selu", "celu"}
RELU_LIKE |= {"gelu", "silu", "mish", "softplus", "hardswish", "hardtanh"}
SIGMOIDS = {"sigmoid", "hardsigmoid"}
TANHS = {"tanh", "softsign"}
NONLINEARITIES = RELU_LIKE | SIGMOIDS | TANHS

# Wrappers that torch.compile, FSDP and activation checkpointing add to a module's path.
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


class Layer:
    """A module with parameters of its own. `tag` is `NN_name`; `index` its depth, from 0."""

    def __init__(self, name: str, index: int) -> None:
        self.name, self.index, self.tag = name, index, name
        self.modules: list[nn.Module] = []  # one; several only if a parametrization is folded into its owner

    def parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for module in self.modules:
            for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
                if not isinstance(parameter, nn.parameter.UninitializedParameter):
                    yield name, parameter


def find_layers(model: nn.Module) -> list[Layer]:
    """The modules that own parameters, in order of registration. The model itself is called `root`."""
    layers: dict[str, Layer] = {}
    for path, module in model.named_modules():
        if not owns_parameters(module) or isinstance(module, nn.ParameterList | nn.ParameterDict):
            continue
        name = clean_path(path.split(".parametrizations")[0]) or "root"
        layers.setdefault(name, Layer(name, len(layers))).modules.append(module)
    return _numbered(list(layers.values()))


def owns_parameters(module: nn.Module) -> bool:
    """Whether it can have parameters of its own, set or not: a norm with `affine=False` has them as None."""
    return bool(module._parameters)


@contextlib.contextmanager
def forward_hooks(
    modules: Iterable[nn.Module], note: Callable[[nn.Module, Any, Any], Any]
) -> Iterator[list[Any]]:
    """Call `note(module, inputs, output)` after each call of these modules; its result replaces the output.

    Yields the handles; handles that are added are removed at the end, too.
    """
    handles: list[Any] = [module.register_forward_hook(note) for module in modules]
    try:
        yield handles
    finally:
        for handle in handles:
            handle.remove()


def clean_path(path: str) -> str:
    """A module's path as in the model's source, without PyTorch's wrappers."""
    return ".".join(part for part in path.split(".") if part not in _WRAPPERS)


def _numbered(layers: list[Layer]) -> list[Layer]:
    width = max(2, len(str(len(layers) - 1)))
    for index, layer in enumerate(layers):
        layer.index, layer.tag = index, f"{index:0{width}d}_{layer.name}"
    return layers


def tensors_in(output: Any) -> Iterator[Tensor]:
    """The floating-point tensors of a module's output: a tensor, or nested tuples, lists and dicts."""
    if isinstance(output, Tensor):
        if output.is_floating_point() or output.is_complex():
            yield output
    elif isinstance(output, dict):
        yield from (tensor for value in output.values() for tensor in tensors_in(value))
    elif isinstance(output, list | tuple):
        yield from (tensor for value in output for tensor in tensors_in(value))


class Probe:
    """The hooks on one LightningModule, attached only while somebody listens.

    A listener has `on_layer_output(layer, output)` and optionally `on_activation(layer, key, function, y)`, which is
    called for each nonlinearity, and `on_loss_call(call)`, for each call of a loss function.
    """

    def __init__(self, model: pl.LightningModule) -> None:
        self.model = model
        self.layers = find_layers(model)
        self.ordered = False  # until the first forward pass, depth is the order of registration
        # The layers at which gradients finally arrive; known once all layers have a depth.
        self.bottom: set[Layer] = set()
        self._listeners: Sequence[Any] = ()
        self._handles: list[Any] = []
        self._begin_forward()

    def attach(self, listeners: Sequence[Any]) -> None:
        """Call these listeners from now on, and no others."""
        self._listeners = listeners
        if not self._handles:
            self._install()

    def detach(self) -> None:
        """Restore the model as it was."""
        self._listeners = ()
        if self._handles:
            self._remove()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Ignore a forward pass that is not part of the training."""
        listeners, self._listeners = self._listeners, ()
        try:
            yield
        finally:
            self._listeners = listeners

    def _install(self) -> None:
        for layer in self.layers:
            for module in layer.modules:
                enter, leave = functools.partial(self._enter, layer), functools.partial(self._leave, layer)
                self._handles.append(module.register_forward_pre_hook(enter))
                self._handles.append(module.register_forward_hook(leave))
        # Functional nonlinearities have no module to hook, and compiled code runs no hooks. So the training step
        # itself is wrapped, too.
        original = self.model.training_step

        @functools.wraps(original)
        def training_step(*args: Any, **kwargs: Any) -> Any:
            with self._forward():
                return original(*args, **kwargs)

        # the instance's own attribute, if there is one: Lightning puts a compiled model's step there
        self._replaced = self.model.__dict__.get("training_step")
        self.model.__dict__["training_step"] = training_step

    def _remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        del self.model.__dict__["training_step"]
        if self._replaced is not None:
            self.model.__dict__["training_step"] = self._replaced
        self._replaced = None

    def _begin_forward(self) -> None:
        self._finished: list[Layer] = []  # in the order in which they first finished
        self._current: Layer | None = None  # the layer that was entered or left last
        self._since = 0  # nonlinearities since then
        self.calls = 0  # layers entered so far

    @contextlib.contextmanager
    def _forward(self) -> Iterator[None]:
        self._begin_forward()
        wanted = ("on_activation", "on_loss_call")
        sees_functions = any(hasattr(each, name) for each in self._listeners for name in wanted)
        functions = _Functions(self) if sees_functions else contextlib.nullcontext()
        with torch.compiler.set_stance("force_eager"), functions:
            yield
        if not self.ordered and self._finished:
            rest = [layer for layer in self.layers if layer not in self._finished]
            self.layers, self.ordered = _numbered(self._finished + rest), True
            self.bottom.update(rest)  # their parameters are used without a call, if at all

    def _enter(self, layer: Layer, module: nn.Module, inputs: Any) -> None:
        self._current, self._since = layer, 0
        self.calls += 1
        if not self.ordered and not any(tensor.requires_grad for tensor in tensors_in(inputs)):
            self.bottom.add(layer)

    def _leave(self, layer: Layer, module: nn.Module, inputs: Any, output: Any) -> None:
        # ignored in a backward pass: activation checkpointing runs the forward pass again there
        if not torch.is_grad_enabled() or torch._C._current_graph_task_id() != -1:
            return
        if layer not in self._finished:
            self._finished.append(layer)
        if self._current is not layer:  # other layers ran inside it
            self._current, self._since = layer, 0
        with torch._C.DisableTorchFunction():  # what listeners call is not part of the model
            for listener in self._listeners:
                listener.on_layer_output(layer, output)
        if isinstance(module, nn.RNNBase | nn.RNNCellBase):  # their nonlinearities run inside one fused call
            relu = "relu" in (getattr(module, "nonlinearity", ""), getattr(module, "mode", "").lower()[4:])
            self.nonlinearity("relu" if relu else "tanh", _hidden(output))

    def nonlinearity(self, function: str, y: Tensor) -> None:
        """Assign y to the layer that feeds it; a second nonlinearity there gets the function's name in its key."""
        if self._current is None or not torch.is_grad_enabled():
            return
        key = self._current.name
        if self._since > 0:
            key += f".{function}" + (f"_{self._since}" if self._since > 1 else "")
        self._since += 1
        for listener in self._listeners:
            if hasattr(listener, "on_activation"):
                listener.on_activation(self._current, key, function, y)

    def loss_call(self, call: LossCall) -> None:
        for listener in self._listeners:
            if hasattr(listener, "on_loss_call"):
                listener.on_loss_call(call)


def _hidden(output: Any) -> Tensor:
    """The hidden states of an RNN, LSTM or GRU, or of one of their cells: (N, T, H), (T, N, H) or (N, H)."""
    while not isinstance(output, Tensor):
        output = output[0]  # (output, h_n); (h, c) of an LSTMCell; PackedSequence.data
    return output


class _Functions(TorchFunctionMode):
    """Sees every torch function called in the training step, and reports nonlinearities and loss functions."""

    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self.probe = probe

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").rstrip("_")
        if name == "clamp" and _is_relu(*args, **(kwargs or {})):
            name = "relu"
        if name in NONLINEARITIES and isinstance(output, Tensor):
            self.probe.nonlinearity(name, output)
        elif name in LOSSES and (call := loss_call(func, args, kwargs or {}, output)) is not None:
            self.probe.loss_call(call)
        return output


def _is_relu(*args: Any, **kwargs: Any) -> bool:
    """Whether these arguments make clamp(input, min, max) a relu."""
    low, high = (kwargs.get(name, args[k] if len(args) > k else None) for k, name in ((1, "min"), (2, "max")))
    return isinstance(low, int | float) and low == 0 and high is None
