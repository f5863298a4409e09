"""The optimizer, and parameter groups by pattern: rates and decays of their own, and parameters that are not trained.

A pattern is matched against the whole name of a parameter, as `named_parameters` gives it: "encoder.*", "*.bias".
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import torch
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.layer_decay import layer_factors

Groups = Mapping[str, Mapping[str, Any]]
FACTOR = "lr_factor"  # option of a group: its rate as a multiple of the optimizer's


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Exclude parameters from training. A layer that is frozen as a whole keeps its running statistics, as in evaluation.

    Raises:
        ValueError: for a pattern that matches no parameter, and if none is left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        check_matches("model.frozen", pattern, names)
    for name, parameter in model.named_parameters():
        if first_match(name, patterns) is not None:
            parameter.requires_grad_(False)
    for layer in model.modules() if patterns else ():
        if has_statistics(layer) and not any(each.requires_grad for each in layer.parameters()):
            layer.eval()
    if patterns and not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"model.frozen is {list(patterns)}, which leaves no parameter to train")


def has_statistics(layer: nn.Module) -> bool:
    """Whether it is a layer with weights that keeps running statistics of the data, such as batch norm."""
    keeps = getattr(layer, "track_running_stats", False) and getattr(layer, "running_mean", None) is not None
    return bool(keeps) and any(True for _ in layer.parameters(recurse=False))


def parameter_groups(
    model: nn.Module, groups: Groups, decay_all: bool, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """The trained parameters for an optimizer, one dict for each group; the first pattern that matches decides.

    Args:
        groups: options of the optimizer for each pattern, such as `lr` and `weight_decay`; `lr_factor` multiplies the
            rate of the optimizer. What no pattern matches gets the optimizer's own options.
        decay_all: False sets the weight decay of biases and of normalization layers to 0, in groups that give none.
        layer_decay: below 1, it multiplies the rate of each layer once for every layer above it; see `layer_factors`.

    Raises:
        ValueError: for a pattern that matches no parameter that is trained.
    """
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    spared = set() if decay_all else not_decayed(model)
    factors = layer_factors(model, layer_decay) if layer_decay != 1 else {}
    found: dict[tuple[str | None, bool, float], list[Tensor]] = {}
    for name, parameter in trained.items():
        pattern = first_match(name, groups)
        has_own = pattern is not None and "weight_decay" in groups[pattern]
        key = (pattern, name in spared and not has_own, factors.get(name, 1.0))
        found.setdefault(key, []).append(parameter)
    for pattern in groups:
        if all(pattern != used for used, _, _ in found):
            check_matches("model.optimizer_groups", pattern, trained)
            raise ValueError(
                f"model.optimizer_groups has {pattern!r}, but earlier patterns match all its parameters; put it first"
            )
    options: dict[str | None, Mapping[str, Any]] = {None: {}}
    options.update(groups)
    return [
        {
            "params": parameters,
            **options[pattern],
            **({"weight_decay": 0.0} if is_spared else {}),
            **({FACTOR: options[pattern].get(FACTOR, 1.0) * factor} if factor != 1 else {}),
        }
        for (pattern, is_spared, factor), parameters in found.items()
    ]


def finish_groups(optimizer: Optimizer, groups: Groups) -> None:
    """Apply the factors of the rates.

    Raises:
        ValueError: for an option that the optimizer does not have, which PyTorch would ignore.
    """
    known = [*optimizer.defaults, FACTOR]
    for pattern, options in groups.items():
        for option in options:
            if option not in known:
                close = get_close_matches(option, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"
                name = type(optimizer).__name__
                raise ValueError(
                    f"model.optimizer_groups.{pattern} has {option!r}, which {name} does not have; {hint}"
                )
        if {"lr", FACTOR} <= set(options):
            raise ValueError(f"model.optimizer_groups.{pattern} has both lr and {FACTOR}; leave one out")
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group.pop(FACTOR, 1.0)


def not_decayed(model: nn.Module) -> set[str]:
    """Names of biases, and of scales of normalization layers: they are vectors, or numbers for each channel.

    Those of a recurrent layer are named bias_ih_l0 and so on.
    """
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim < 2 or name.rpartition(".")[2].startswith("bias")
    }


def first_match(name: str, patterns: Iterable[str]) -> str | None:
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)


def check_matches(option: str, pattern: str, names: Iterable[str]) -> None:
    """Refuse a pattern that matches none of these names."""
    names = list(names)
    if first_match_of(pattern, names) is None:
        close = get_close_matches(pattern, names, n=1, cutoff=0.3)
        shown = close or names[:1]
        raise ValueError(
            f"{option} has {pattern!r}, which matches no parameter that is trained; one is called {shown[0]!r}"
            if shown
            else f"{option} has {pattern!r}, but the model has no parameters"
        )


def first_match_of(pattern: str, names: Iterable[str]) -> str | None:
    return next((name for name in names if fnmatchcase(name, pattern)), None)


def build_optimizer(factory: OptimizerCallable, parameters: Any) -> Optimizer:
    """The optimizer of these parameters.

    Raises:
        ValueError: for arguments that it does not accept, and for learning rates beyond float32, which it would accept.
    """
    try:
        optimizer = factory(parameters)
    except ValueError as error:
        raise ValueError(f"model.optimizer: {error}") from None
    largest = torch.finfo(torch.float32).max
    for group in optimizer.param_groups:
        if not 0 <= group["lr"] <= largest:
            raise ValueError(f"model.optimizer.lr is {group['lr']}; it must be from 0 to {largest:.1e}")
    return optimizer
