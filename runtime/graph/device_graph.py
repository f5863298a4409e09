"""CUDA's graph: the kernels of a function, recorded once, launched together."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import torch


class DeviceGraph(Protocol):
    """Records a function on one kind of device.

    Class attributes: `device_type`, and `optimizer_flags`, what has to be true of an optimizer of torch in its step.
    """

    device_type: str
    optimizer_flags: tuple[str, ...]

    def record(self, function: Callable[[], None], generators: Iterable[torch.Generator]) -> None:
        """Record what the function computes; `generators` are those that it uses besides the default one."""

    def replay(self) -> None:
        """Compute it again, into the same tensors."""


class CudaGraph:
    """A graph of the current CUDA device; the default generator is always part of it."""

    device_type = "cuda"
    optimizer_flags: tuple[str, ...] = ("capturable", "fused")

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def record(self, function: Callable[[], None], generators: Iterable[torch.Generator]) -> None:
        for generator in generators:
            self._graph.register_generator_state(generator)
        # Loaders pin memory in threads of their own, which must not end the recording.
        recording = torch.cuda.graph(self._graph, capture_error_mode="thread_local")
        with first_error(), recording:
            function()

    def replay(self) -> None:
        self._graph.replay()


@contextlib.contextmanager
def first_error() -> Iterator[None]:
    """Raise the error that ended a recording, not those that followed from it, and end the recording cleanly."""
    try:
        yield
    except Exception as error:
        first: BaseException = error
        while first.__context__ is not None:
            first = first.__context__
        _reset_default_generator()
        raise first from None


def _reset_default_generator() -> None:
    """A recording that failed leaves the generator in a state in which it refuses to draw; an empty one ends that."""
    torch.cuda.synchronize()
    with torch.cuda.graph(torch.cuda.CUDAGraph(), capture_error_mode="thread_local"):
        pass
