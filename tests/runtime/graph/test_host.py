"""What a step does and reads in Python."""

import random
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn

from runtime.graph.host import Fixed, HostState, Watched
from runtime.graph.state import State, distance, tensors_of

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.number, self.items, self.table, self.recent = 1, [1], {"a": 1}, deque([1, 2], maxlen=2)
        self.register_buffer("buffer", torch.zeros(2))


CHANGES = {
    "a number": (lambda net: setattr(net, "number", 2), "self.number"),
    "a number of a part": (lambda net: setattr(net.inner, "calls", 1), "self.inner.calls"),
    "a list": (lambda net: net.items.append(2), "self.items"),
    "a table": (lambda net: net.table.update(a=2), "self.table"),
    "a queue": (lambda net: net.recent.append(3), "self.recent"),
    "a tensor": (lambda net: setattr(net, "buffer", torch.ones(2)), "self._buffers"),
    "an attribute that goes": (lambda net: delattr(net, "number"), "removes self.number"),
    "python": (lambda net: random.random(), "random numbers on the CPU"),
    "numpy": (lambda net: np.random.rand(), "random numbers on the CPU"),
    "torch": (lambda net: torch.rand(()), "random numbers on the CPU"),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_named(change, words):
    net = Net()
    before = HostState(net, CUDA)
    change(net)
    assert words in before.changed()


def test_what_happens_to_tensors_in_place_is_no_change():
    net = Net()
    before = HostState(net, CPU)
    net.buffer.add_(1)
    net.inner(torch.rand(3, 2)).sum().backward()  # drawn on the device, which is the CPU here
    assert before.changed() is None


@pytest.mark.parametrize(
    "change",
    [
        lambda net: setattr(net, "number", 2),
        lambda net: net.eval(),
        lambda net: net.inner.requires_grad_(False),
        lambda net: setattr(net.inner.weight, "data", torch.ones(2, 2)),
    ],
    ids=["number", "mode", "frozen", "moved"],
)
def test_a_recording_holds_until_what_it_took_for_granted_changes(change):
    net = Net()
    fixed = Fixed(net)
    net.inner.weight.data.add_(1)
    assert fixed.holds()
    change(net)
    assert not fixed.holds()


USES = {
    "sum": lambda n: n + 1,
    "product with a tensor": lambda n: torch.ones(2) * n,
    "from the right": lambda n: 2.0 - n,
    "comparison": lambda n: n == 3,
    "truth": bool,
    "text": str,
    "index": lambda n: [1, 2, 3, 4][n],
    "format": lambda n: f"{n:03d}",
    "attribute": lambda n: n.bit_length(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_any_use_of_a_watched_number_is_noted(use):
    reads = []
    number = Watched(3, "batch_idx", reads)
    assert reads == []
    found, expected = use(number), use(3)
    assert (
        torch.equal(torch.as_tensor(found), torch.as_tensor(expected))
        if not isinstance(expected, str)
        else found == expected
    )
    assert "batch_idx" in reads


def test_a_state_is_restored_with_the_generators_and_compared():
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)

    def step(factor):
        optimizer.zero_grad()
        (factor * net.inner(torch.rand(4, 2)).sum()).backward()
        optimizer.step()
        net.buffer.add_(1)

    step(1)
    before = State(tensors_of(net, optimizer), [])
    step(1)
    once = State(before.tensors, [])
    before.restore()
    step(1)
    again = State(before.tensors, [])
    assert distance(before, once, again) == 0
    before.restore()
    step(-1)
    assert distance(before, once, State(before.tensors, [])) > 0.5
