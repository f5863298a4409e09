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


def main_path(layers: list[str], feeds: dict[str, set[str]]) -> list[str]:
    """The layers that a signal must pass on its way through the network, from the first to the loss.

    Only their deltas can be compared. A branch with a small weight in the loss has small deltas of its own, and a
    shortcut passes on what a branch that begins with 0 does not.

    Args:
        layers: those with a delta, in order.
        feeds: see `Paths`; empty if each layer feeds the next.

    Returns:
        Some of the layers, in order. The first is one that feeds at least half of the others: side branches may come
        before it. All layers, if it is not known what feeds the loss.
    """
    first = next((each for each in layers if _feeds_half(each, layers, feeds)), None)
    if first is None or LOSS not in reached(first, feeds):
        return layers
    return [each for each in layers if each == first or LOSS not in reached(first, feeds, without=each)]


def _feeds_half(layer: str, layers: list[str], feeds: dict[str, set[str]]) -> bool:
    return 2 * len((reached(layer, feeds) | {layer}).intersection(layers)) >= len(layers)


def reached(layer: str, feeds: dict[str, set[str]], without: str = "") -> set[str]:
    """What gets something from a layer, be it through others, if one of them were not there."""
    found: set[str] = set()
    waiting = [layer]
    while waiting:
        new = feeds.get(waiting.pop(), set()) - found - {without}
        found |= new
        waiting += new
    return found
