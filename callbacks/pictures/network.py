"""What the pictures read from a network and its data, whatever their classes are.

Of a data module they use what `spec_of` reads and, if it has them, `statistics` (`input_mean`, `input_std`,
`target_mean`, `target_std` of a normalization) and `prepare_inputs`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from callbacks.data_spec import spec_of
from callbacks.diagnostics.probe import forward_hooks
from callbacks.layer_labels import layer_label


def array(tensor: Tensor) -> np.ndarray:
    """The tensor in float64, on the host."""
    return tensor.detach().cpu().double().numpy()


def layer_names(pl_module: nn.Module, tags: Iterable[str]) -> dict[str, str]:
    """What layers are called in plain words next to their tags `NN_name`: "hidden 1 (00_layers.0)"."""
    tags = sorted(tags)
    order = [tag.partition("_")[2] for tag in tags]
    return {tag: f"{layer_label(pl_module, tag, order)} ({tag})" for tag in tags}


def is_table(data: Any, *tasks: str) -> bool:
    """Whether a sample is a row of numbers and the task is one of `tasks`."""
    spec = spec_of(data)
    return len(spec.in_shape) == 1 and spec.task in tasks


def is_autoencoder(pl_module: pl.LightningModule) -> bool:
    """Whether the model restores its input; `encode` returns the codes, or a tuple that begins with them."""
    return callable(getattr(pl_module, "encode", None))


def offers(pl_module: pl.LightningModule, method: str) -> bool:
    """Whether the module has a method with this name and a parameter `num_samples`, and with no other that it needs."""
    function = getattr(pl_module, method, None)
    if not callable(function):
        return False
    try:
        return "num_samples" in inspect.signature(function).bind(num_samples=1).arguments
    except (TypeError, ValueError):  # it needs more, or has no signature
        return False


def first_tensor(output: Any) -> Any:
    """The first part of a tuple or list, such as the mean of a mean and a variance; anything else as it is."""
    return output[0] if isinstance(output, list | tuple) and output else output


def codes_of(pl_module: pl.LightningModule, x: Tensor) -> np.ndarray:
    """The codes (N, D) of a batch x (N, ...)."""
    return array(first_tensor(pl_module.encode(x))).reshape(len(x), -1)


def probabilities(pl_module: pl.LightningModule, task: str, x: Tensor) -> np.ndarray:
    """Probability of each class (N, K); a binary task has one logit, for class 1."""
    logits = pl_module(x).cpu().double()
    if task == "binary":
        positive = array(logits.squeeze(-1).sigmoid())
        return np.stack([1 - positive, positive], axis=1)
    return array(logits.softmax(-1))


def accuracy(pl_module: pl.LightningModule, task: str, x: Tensor, y: Tensor) -> float:
    """Share of the samples x (N, ...) whose most likely class is their label y (N,)."""
    return float(np.mean(probabilities(pl_module, task, x).argmax(1) == array(y)))


def balanced_accuracy(pl_module: pl.LightningModule, task: str, x: Tensor, y: Tensor) -> float:
    """The mean over the classes of the share of their samples that are recognized; arguments as for `accuracy`."""
    labels = array(y)
    right = probabilities(pl_module, task, x).argmax(1) == labels
    return float(np.mean([right[labels == each].mean() for each in np.unique(labels)]))


def dense_layers(pl_module: pl.LightningModule, x: Tensor) -> list[tuple[nn.Linear, Tensor]]:
    """The linear layers in order of the forward pass, each with its input: hidden units, except for the first layer."""
    calls: list[tuple[Any, Tensor]] = []
    linear = [module for module in pl_module.modules() if isinstance(module, nn.Linear)]
    with forward_hooks(linear, lambda layer, inputs, output: calls.append((layer, inputs[0]))):
        pl_module(x)
    return calls


def has_hidden_layer(pl_module: pl.LightningModule) -> bool:
    """Whether one linear layer follows another."""
    return sum(isinstance(module, nn.Linear) for module in pl_module.modules()) > 1


def raw_inputs(data: Any, x: Tensor) -> np.ndarray:
    """Inputs of a batch in the units of the table."""
    statistics = getattr(data, "statistics", {})
    mean, std = statistics.get("input_mean", 0.0), statistics.get("input_std", 1.0)
    return array(x) * np.asarray(std) + np.asarray(mean)


def raw_targets(data: Any, y: Tensor) -> np.ndarray:
    """Targets or predictions of a regression in the units of the table; the statistics are (K,) for several outputs."""
    statistics = getattr(data, "statistics", {})
    std, mean = statistics.get("target_std", 1.0), statistics.get("target_mean", 0.0)
    return array(y) * np.asarray(std) + np.asarray(mean)


def prepared_inputs(data: Any, raw: np.ndarray, like: Tensor) -> Tensor:
    """Turn points in the units of the table into network inputs, with the device and precision of `like`."""
    x = torch.from_numpy(raw)
    prepare = getattr(data, "prepare_inputs", None)
    return (x if prepare is None else prepare(x)).to(like)


def in_table_units(layer: nn.Linear, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights (H, F) and biases (H,) of a layer that reads the inputs, converted to inputs in the table's units."""
    origin = raw_inputs(data, layer.weight.new_zeros(1, layer.in_features))[0]  # raw = scale * x + origin
    scale = raw_inputs(data, layer.weight.new_ones(1, layer.in_features))[0] - origin
    bias = array(layer.bias) if layer.bias is not None else np.zeros(layer.out_features)
    weight = array(layer.weight) / scale
    return weight, bias - weight @ origin


def feature_name(data: Any, index: int) -> str:
    """The feature's name in the settings."""
    spec = spec_of(data)
    if index < len(spec.feature_names):
        return spec.feature_names[index]
    return "x" if list(spec.in_shape) == [1] else f"x{index + 1}"


def axis_name(data: Any, index: int) -> str:
    """The label of the feature's axis, with the unit."""
    name = feature_name(data, index)
    return spec_of(data).axis_names.get(name, name)


def class_name(data: Any, label: int) -> str:
    """The data module's name for a class."""
    names = spec_of(data).class_names
    return str(names[label]) if label < len(names) else str(label)


def class_names(data: Any, num_classes: int) -> list[str]:
    """Names of the classes for a legend; a name that is only a number becomes "class 3"."""
    names = list(spec_of(data).class_names) or [str(label) for label in range(num_classes)]
    return [f"class {name}" if str(name).isdigit() else str(name) for name in names]
