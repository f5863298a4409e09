"""Which layers feed which, read from the autograd graph of a forward pass.

Order alone does not say so: the head that is called last need not get anything from the head before it, and a relu
between two layers may belong to the loss.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

LOSS = "the loss"  # stands for a layer that the loss is fed by

Names = frozenset[str]


class Paths:
    """The paths of one forward pass; outputs and activations are added in the order in which they are made.

    `feeds[name]` are the layers that get something from a layer without another layer in between, and perhaps `LOSS`.
    `hidden` are the keys of the activations that a later layer gets something from.
    """

    def __init__(self) -> None:
        self.feeds: dict[str, set[str]] = {}
        self.hidden: set[str] = set()
        self._sources: dict[Any, tuple[Names, Names]] = {}  # by node: layers and activations it comes from
        self._outputs: set[Any] = set()  # the nodes that a layer returned
        self._made: dict[str, int] = {}  # by activation: the number of layers entered before it

    def add_output(self, layer: str, outputs: Iterable[Tensor], entered: int) -> None:
        """A layer has returned.

        Args:
            layer: its name.
            outputs: what it returned.
            entered: its number, in the order in which layers were entered. Activations that were made since then are
                its own, and not its inputs.
        """
        for output in outputs:
            if output.grad_fn is None:
                continue
            layers, activations = self._trace(output.grad_fn)
            for source in layers - {layer}:
                self.feeds.setdefault(source, set()).add(layer)
            own = frozenset(key for key in activations if self._made[key] >= entered)
            self.hidden |= activations - own
            passed_on = layers if output.grad_fn in self._outputs else frozenset()
            self._sources[output.grad_fn] = passed_on | {layer}, own
            self._outputs.add(output.grad_fn)

    def add_activation(self, key: str, outputs: Iterable[Tensor], entered: int) -> None:
        """A nonlinearity has returned, after so many layers were entered."""
        self._made[key] = entered
        for y in outputs:
            if y.grad_fn is None:
                self.hidden.add(key)  # nothing is known of a frozen network but the order of its layers
            else:
                layers, activations = self._trace(y.grad_fn)
                self._sources[y.grad_fn] = layers, activations | {key}

    def add_loss(self, loss: Tensor) -> None:
        """The loss that is to be minimized; several are added up."""
        if loss.grad_fn is not None:
            for source in self._trace(loss.grad_fn)[0]:
                self.feeds.setdefault(source, set()).add(LOSS)

    def release(self) -> None:
        """Let go of the graph."""
        self._sources, self._outputs = {}, set()

    def _trace(self, node: Any) -> tuple[Names, Names]:
        """The layers and activations that feed a node without another layer in between; no node is traced twice."""
        known, stack = self._sources, [node]
        while stack:
            below = [each for each, _ in stack[-1].next_functions if each is not None]
            if missing := [each for each in below if each not in known]:
                stack += missing
            else:
                found = [known[each] for each in below]
                known.setdefault(stack.pop(), found[0] if len(found) == 1 else _united(found))
        return known[node]


def _united(found: list[tuple[Names, Names]]) -> tuple[Names, Names]:
    return frozenset().union(*(layers for layers, _ in found)), frozenset().union(
        *(keys for _, keys in found)
    )
