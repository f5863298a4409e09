"""Learning rates that fall from the output to the input: each layer has the rate of the layer above it, times a factor.

Fine-tuning of pre-trained transformers uses it: ELECTRA, Clark et al. 2020, https://arxiv.org/abs/2003.10555; BEiT, Bao
et al. 2021, https://arxiv.org/abs/2106.08254; `param_groups_layer_decay` of timm. With L layers, layer l = 1, ..., L gets
the factor decay ** (L - l), so the last one keeps the full rate, as in these.
"""

from collections.abc import Iterator

from torch import nn

LISTS = (nn.Sequential, nn.ModuleList)


def layer_factors(model: nn.Module, decay: float) -> dict[str, float]:
    """For each parameter, by its name, the factor of its learning rate.

    Raises:
        ValueError: for a decay that is not above 0 and at most 1.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"model.layer_decay is {decay}; it must be above 0 and at most 1")
    layers = list(layers_in_order(model).values())
    return {name: decay ** (len(layers) - number) for number, names in enumerate(layers, 1) for name in names}


def layers_in_order(model: nn.Module) -> dict[str, list[str]]:
    """The layers in the order in which the model defines them, each with the names of its parameters.

    A layer is an entry of an nn.Sequential or nn.ModuleList, or a module that has none of these within. Nothing else
    counts as a layer: what has only vectors (a normalization), and parameters that a module with layers has itself (a
    class token, positions) belong to the layer before; if there is none, to the first.
    """
    known = dict(model.named_parameters())  # shared ones once
    layers: dict[str, list[str]] = {}
    waiting: list[str] = []
    for place, names in blocks(model, ""):
        names = [name for name in names if name in known]
        if place and any(known[name].ndim > 1 for name in names):
            layers[place] = [*waiting, *names]
            waiting = []
        else:
            (next(reversed(layers.values())) if layers else waiting).extend(names)
    return layers if layers else {"": waiting}


def blocks(module: nn.Module, place: str) -> Iterator[tuple[str, list[str]]]:
    """The place of each part that may be a layer, with names of parameters; "" for those of the module itself."""
    prefix = f"{place}." if place else ""
    yield "", [prefix + name for name, _ in module.named_parameters(recurse=False)]
    for name, child in module.named_children():
        if isinstance(module, LISTS) or not any(isinstance(each, LISTS) for each in child.modules()):
            yield prefix + name, [f"{prefix}{name}.{each}" for each, _ in child.named_parameters()]
        else:
            yield from blocks(child, prefix + name)
