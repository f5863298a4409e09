"""All tensors that a training step changes, kept aside, restored and compared."""

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def tensors_of(model: nn.Module, optimizer: Optimizer) -> list[list[Tensor]]:
    """By kind: parameters, buffers and other tensors of the modules, the optimizer's moments, its counts of steps."""
    others = [*model.buffers()]
    for module in model.modules():
        others += [each for each in vars(module).values() if isinstance(each, Tensor)]
    states = [
        each for state in optimizer.state.values() for each in state.values() if isinstance(each, Tensor)
    ]
    moments, counts = ([each for each in states if bool(each.dim()) is kind] for kind in (True, False))
    return [list(model.parameters()), others, moments, counts]


class State:
    """A copy of the tensors that a step changes, and of the device's random generators.

    Args:
        tensors: by kind; see `tensors_of`.
        generators: those that the step may use, besides the default one.
    """

    def __init__(self, tensors: list[list[Tensor]], generators: list[torch.Generator]) -> None:
        self.tensors = tensors
        self.copies = [[each.detach().clone() for each in kind] for kind in tensors]
        self.generators = [*default_generators(), *generators]
        self.drawn = [each.get_state() for each in self.generators]

    def restore(self) -> None:
        """Set everything back, in place."""
        with torch.no_grad():
            for kind, copies in zip(self.tensors, self.copies, strict=True):
                for tensor, copy in zip(kind, copies, strict=True):
                    tensor.copy_(copy)
        for generator, drawn in zip(self.generators, self.drawn, strict=True):
            generator.set_state(drawn)


def distance(before: State, one: State, other: State) -> float:
    """How far two steps from the same state end apart, as a share of the length of the first step.

    It is the largest share of all kinds of tensors; the length of a kind is that of all its tensors together.
    """
    kinds = zip(before.copies, one.copies, other.copies, strict=True)
    return max(_share(*kind) for kind in kinds)


def _share(before: list[Tensor], one: list[Tensor], other: list[Tensor]) -> float:
    apart, length = _length(one, other), _length(before, one)
    return apart / length if length else apart


def _length(here: list[Tensor], there: list[Tensor]) -> float:
    return math.hypot(*(float((b.double() - a.double()).norm()) for a, b in zip(here, there, strict=True)))


def default_generators() -> list[torch.Generator]:
    """The default generator of the current CUDA device; without one, the CPU's."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return [torch.cuda.default_generators[torch.cuda.current_device()]]
    return [torch.default_generator]
