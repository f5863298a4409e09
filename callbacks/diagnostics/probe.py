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
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from callbacks.diagnostics.functions import nonlinearity_of
from callbacks.diagnostics.loss_calls import LossCall, loss_call
from callbacks.diagnostics.paths import Paths
from callbacks.observing import Observing

# Wrappers that torch.compile, FSDP and activation checkpointing add to a module's path.
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


class Layer:
    """A module with parameters of its own. `tag` is `NN_name`; `index` its depth, from 0."""

    def __init__(self, name: str, index: int) -> None:
        self.name, self.index, self.tag = name, index, name
        self.modules: list[nn.Module] = []  # one; several only if a parametrization is folded into its owner
        self.lists: list[tuple[str, nn.Module]] = []  # its lists and dicts of parameters, by their path in it

    def parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for path, module in [*(("", module) for module in self.modules), *self.lists]:
            for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
                if not isinstance(parameter, nn.parameter.UninitializedParameter):
                    yield path + name, parameter


def find_layers(model: nn.Module) -> list[Layer]:
    """The modules that own parameters, in order of registration. The model itself is called `root`.

    A list or dict of parameters is part of the module that holds it, because it is never called.
    """
    layers: dict[str, Layer] = {}
    modules = dict(model.named_modules())
    for path, module in modules.items():
        if not owns_parameters(module):
            continue
        owner = path
        while owner and isinstance(modules[owner], nn.ParameterList | nn.ParameterDict):
            owner = owner.rpartition(".")[0]
        name = clean_path(owner.split(".parametrizations")[0]) or "root"
        layer = layers.setdefault(name, Layer(name, len(layers)))
        if modules[owner] not in layer.modules:
            layer.modules.append(modules[owner])
        if owner != path:
            layer.lists.append((path[len(owner) :].lstrip(".") + ".", module))
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
    """The floating-point tensors of a module's output: a tensor, or nested tuples, lists, dicts and dataclasses."""
    if isinstance(output, Tensor):
        if output.is_floating_point() or output.is_complex():
            yield output
    elif isinstance(output, dict):
        yield from (tensor for value in output.values() for tensor in tensors_in(value))
    elif isinstance(output, list | tuple):
        yield from (tensor for value in output for tensor in tensors_in(value))
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        yield from tensors_in([getattr(output, each.name) for each in dataclasses.fields(output)])


class Probe:
    """The hooks on one LightningModule, attached only while somebody listens.

    A listener is a `Monitor`. It may have `on_layer_output(layer, outputs)`, `on_layer_call(layer, inputs, output)` with
    all that went in and came out, `on_activation(layer, key, function, y)`, which is called for each nonlinearity, and
    `on_loss_call(call)`, for each call of a loss function. `paths` are those of the newest forward pass.
    """

    def __init__(self, model: pl.LightningModule) -> None:
        self.model = model
        self.layers = find_layers(model)
        self.ordered = False  # until the first forward pass, depth is the order of registration
        # The layers at which gradients finally arrive; known once all layers have a depth.
        self.bottom: set[Layer] = set()
        self._listeners: Sequence[Any] = ()
        self._handles: list[Any] = []
        self._replaced: Any = None  # the instance's own `training_step`
        self._begin_forward()

    def attach(self, listeners: Sequence[Any]) -> None:
        """Call these listeners from now on, and no others."""
        self._listeners = listeners
        if not self._handles:
            self._install()

    def detach(self) -> None:
        """Restore the model as it was."""
        self._listeners = ()
        self.paths.release()
        if self._handles:
            self._remove()

    def skip(self) -> None:
        """Stop listening until the next batch, and let nobody use what was heard."""
        listeners, self._listeners = self._listeners, ()
        for listener in listeners:
            listener.skip()

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
                if isinstance(module, torch.jit.ScriptModule):  # runs no hooks
                    continue
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
        self.model.__dict__.pop("training_step", None)
        if self._replaced is not None:
            self.model.__dict__["training_step"] = self._replaced
        self._replaced = None

    def _begin_forward(self) -> None:
        self._finished: list[Layer] = []  # in the order in which they first finished
        self._current: Layer | None = None  # the layer that was entered or left last
        self._since = 0  # nonlinearities since then
        self.calls = 0  # layers entered so far
        self._entered: dict[Layer, int] = {}  # by layer: its number, when it was entered last
        self.paths = Paths()

    @contextlib.contextmanager
    def _forward(self) -> Iterator[None]:
        if not self._listeners:  # paused: what was found of the training's own pass stays
            with torch.compiler.set_stance("force_eager"):
                yield
            return
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

    def _heard(self, method: str, *what: Any) -> None:
        """Call this method of all listeners that have it."""
        for listener in self._listeners:
            if not listener.skipped and hasattr(listener, method):
                with listener.shield:
                    getattr(listener, method)(*what)

    def _enter(self, layer: Layer, module: nn.Module, inputs: Any) -> None:
        if not self._listeners:
            return
        self._current, self._since = layer, 0
        self.calls += 1
        self._entered[layer] = self.calls
        with Observing(self):
            if not self.ordered and not any(tensor.requires_grad for tensor in tensors_in(inputs)):
                self.bottom.add(layer)

    def _leave(self, layer: Layer, module: nn.Module, inputs: Any, output: Any) -> None:
        # ignored in a backward pass: activation checkpointing runs the forward pass again there
        if not self._listeners or not torch.is_grad_enabled() or torch._C._current_graph_task_id() != -1:
            return
        if layer not in self._finished:
            self._finished.append(layer)
        if self._current is not layer:  # other layers ran inside it
            self._current, self._since = layer, 0
        with torch._C.DisableTorchFunction(), Observing(self):  # what listeners call is not part of the model
            outputs = list(tensors_in(output))
            self.paths.add_output(layer.name, outputs, self._entered.get(layer, 0))
            self._heard("on_layer_output", layer, outputs)
            self._heard("on_layer_call", layer, inputs, output)
            if outputs and isinstance(
                module, nn.RNNBase | nn.RNNCellBase
            ):  # one fused call runs nonlinearities, too
                relu = "relu" in (
                    getattr(module, "nonlinearity", ""),
                    getattr(module, "mode", "").lower()[4:],
                )
                self.nonlinearity("relu" if relu else "tanh", *outputs)

    def nonlinearity(self, function: str, y: Tensor, *others: Tensor) -> None:
        """Assign y to the layer that feeds it; a second nonlinearity there gets the function's name in its key.

        `others` came with it, as the last state of an LSTM comes with all of them.
        """
        if self._current is None or not torch.is_grad_enabled():
            return
        key = self._current.name
        if self._since > 0:
            key += f".{function}" + (f"_{self._since}" if self._since > 1 else "")
        self._since += 1
        self.paths.add_activation(key, (y, *others), self.calls)
        self._heard("on_activation", self._current, key, function, y)

    def loss_call(self, call: LossCall) -> None:
        self._heard("on_loss_call", call)


class _Functions(TorchFunctionMode):
    """Sees every torch function called in the training step, and reports nonlinearities and loss functions."""

    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self.probe = probe

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        with Observing(self.probe):
            name = nonlinearity_of(func, args, kwargs or {}, output)
            if name:
                self.probe.nonlinearity(name, output)
            elif (call := loss_call(func, args, kwargs or {}, output)) is not None:
                self.probe.loss_call(call)
        return output
