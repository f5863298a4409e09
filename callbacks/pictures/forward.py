"""The modules of a network in the order in which an input passes through them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn

from callbacks.diagnostics.probe import clean_path, forward_hooks, owns_parameters


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a module without children.

    Args:
        tag: `NN_name`, where NN is its depth among the modules with parameters, from 00; only the name for others.
        module: the module.
        inputs: what it read.
        output: what it returned.
    """

    tag: str
    module: nn.Module
    inputs: Tensor
    output: Tensor


def calls(pl_module: pl.LightningModule, x: Tensor) -> list[Call]:
    """Pass `x` through the network and note every call of a module without children, in order."""
    found: list[Call] = []
    names = {module: clean_path(name) for name, module in pl_module.named_modules()}
    tags: dict[nn.Module, str] = {}

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if not inputs or not isinstance(output, Tensor):
            return
        if module not in tags:
            depth = sum(map(owns_parameters, tags))
            tags[module] = f"{depth:02d}_{names[module]}" if owns_parameters(module) else names[module]
        found.append(Call(tags[module], module, inputs[0], output))

    with forward_hooks([module for module in names if not list(module.children())], note):
        pl_module(x)
    return found
