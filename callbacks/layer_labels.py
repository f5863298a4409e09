"""What a layer is called next to its technical name: "hidden 1", "convolution 2", "code", "output"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from callbacks.diagnostics.probe import find_layers

NORMS = (
    *(
        nn.BatchNorm1d,
        nn.BatchNorm2d,
        nn.BatchNorm3d,
        nn.SyncBatchNorm,
        nn.LayerNorm,
        nn.GroupNorm,
        nn.RMSNorm,
    ),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
# The first kind that fits is taken.
KINDS: tuple[tuple[str, tuple[type[nn.Module], ...]], ...] = (
    ("attention projection", (NonDynamicallyQuantizableLinear,)),  # the last part of nn.MultiheadAttention
    ("attention", (nn.MultiheadAttention,)),
    ("hidden", (nn.Linear, nn.Bilinear)),
    ("transposed convolution", (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)),
    ("convolution", (nn.Conv1d, nn.Conv2d, nn.Conv3d)),
    ("recurrent", (nn.RNNBase, nn.RNNCellBase)),
    ("embedding", (nn.Embedding, nn.EmbeddingBag)),
    ("normalization", NORMS),
    ("activation", (nn.PReLU,)),
)
OUTPUTS = ("hidden", "transposed convolution", "convolution")  # kinds that are the output if they come last
ROOT = "root"  # name of the layer whose parameters the model itself owns


def layer_label(model: nn.Module, layer: str, order: Sequence[str] = ()) -> str:
    """The label of one layer, given as its name or its tag `NN_name`; the name itself if it has no parameters."""
    labels = layer_labels(model, order)
    name = layer if layer in labels else re.sub(r"^\d{2,}_", "", layer)
    return labels.get(name, name)


def layer_labels(model: nn.Module, order: Sequence[str] = ()) -> dict[str, str]:
    """The label of every layer by its name, in order of depth.

    Kinds are counted from 1. A last layer that is linear or a convolution is the "output"; the last layer of a child
    `encoder` is the "code" if there is a child `decoder`.

    Args:
        model: any module.
        order: names of its layers in order of depth, as the monitors know it after the first step; default: as they
            were registered, which is the same in a network that is written from its input to its output.
    """
    kinds = {layer.name: kind_of(layer.modules[0]) for layer in find_layers(model)}
    names = [name for name in order if name in kinds]
    names += [name for name in kinds if name not in names]
    labels = {ROOT: "the model's own"}
    if hasattr(model, "encoder") and hasattr(model, "decoder"):
        labels |= dict.fromkeys([each for each in names if each.startswith("encoder.")][-1:], "code")
    rest = [name for name in names if name not in labels and kinds[name] in (*OUTPUTS, "recurrent")]
    if rest and kinds[rest[-1]] in OUTPUTS:
        labels[rest[-1]] = "output"
    counts: Counter[str] = Counter()
    for name in names:
        if name not in labels:
            counts[kinds[name]] += 1
            labels[name] = f"{kinds[name]} {counts[kinds[name]]}"
    return {name: labels[name] for name in names}


def kind_of(module: nn.Module) -> str:
    """What kind of layer it is; the name of its class for a kind of the user's own."""
    return next((kind for kind, classes in KINDS if isinstance(module, classes)), type(module).__name__)
