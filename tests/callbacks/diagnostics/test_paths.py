"""What feeds what, and which layers' deltas can be compared."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks import ActivationMonitor, GradientMonitor
from callbacks.diagnostics.paths import LOSS, Paths, main_path
from callbacks.diagnostics.presence import Presence
from tests.callbacks.plain import Plain, fit, rows

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
Y = X.mean(1, keepdim=True)


class Block(nn.Module):
    """A layer of its own around two others, with a shortcut, which returns a relu."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer, self.scale = nn.Linear(6, 6), nn.Linear(6, 6), nn.Parameter(torch.ones(6))

    def forward(self, x):
        return F.relu(x + self.scale * self.outer(self.inner(x).tanh()))


class Branches(Plain):
    """A stem, a block and two heads; the first head ends with a sigmoid, and the loss has a relu."""

    def __init__(self):
        super().__init__(nn.Linear(6, 6))
        self.block, self.first, self.second = Block(), nn.Linear(6, 4), nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        h = self.block(self.net(x))
        side = torch.sigmoid(self.first(h))
        penalty = F.relu(side - 0.5).mean()
        return self.loss(self.second(h), y) + penalty


def observed(model):
    gradients, activations = GradientMonitor(1), ActivationMonitor(1)
    fit(model, rows(X, Y), gradients, activations, accumulate_grad_batches=1)
    short = {tag: tag.partition("_")[2] for tag in gradients.latest["weight_norm"]} | {LOSS: LOSS}
    feeds = {short[tag]: {short[each] for each in others} for tag, others in gradients.feeds.items()}
    return feeds, {tag.partition("_")[2] for tag in activations.latest.get("mean", {})}


def test_feeds_and_hidden_activations_of_branches():
    feeds, hidden = observed(Branches())
    assert feeds == {
        "net": {"block.inner", "block"},
        "block.inner": {"block.outer"},
        "block.outer": {"block"},
        "block": {"first", "second"},
        "first": {LOSS},
        "second": {LOSS},
    }
    assert hidden == {"block.inner", "block.outer"}  # the relu that the block returns follows its outer layer


class Recurrent(Plain):
    """Takes the last state of an LSTM, which is not its first output."""

    def __init__(self):
        super().__init__(nn.LSTM(6, 6, batch_first=True))
        self.head = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        _, (state, _) = self.net(x[:, None].expand(-1, 3, -1))
        return self.loss(self.head(state[-1]), y)


def test_the_last_state_of_an_lstm_is_hidden():
    assert observed(Recurrent()) == ({"net": {"head"}, "head": {LOSS}}, {"net"})


class Frozen(Recurrent):
    def __init__(self):
        super().__init__()
        self.net.requires_grad_(False)


def test_activations_of_a_frozen_network_are_hidden_by_their_order():
    assert observed(Frozen()) == ({"head": {LOSS}}, {"net"})


class InPlace(Plain):
    """The relu works in place on what the layer returned, and so does what follows."""

    def training_step(self, batch, batch_idx):
        x, y = batch
        h = F.leaky_relu(self.net[0](x), 0.1, inplace=True).clone()
        return self.loss(self.net[1](h.mul_(2)), y)


def test_in_place():
    model = InPlace(nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 1)]))
    assert observed(model) == ({"net.0": {"net.1"}, "net.1": {LOSS}}, {"net.0"})


def test_each_node_is_traced_once():
    """Else it would take the square of the number of steps."""
    visits = []

    class Node:
        def __init__(self, *below):
            self.below = below

        @property
        def next_functions(self):
            visits.append(self)
            return [(each, 0) for each in self.below]

    class Made:
        def __init__(self, grad_fn):
            self.grad_fn = grad_fn

    paths, node = Paths(), Node()
    for step in range(200):
        for _ in range(10):
            node = Node(node, node)
        paths.add_output(f"head {step}", [Made(Node(node))], step)
    assert len(visits) < 3 * 200 * 12


CHAIN = {"a": {"b"}, "b": {"c"}, "c": {LOSS}}
SIDE = {"x": {LOSS}, "a": {"b", "aux"}, "b": {"c"}, "c": {"d"}, "d": {LOSS}, "aux": {LOSS}}
SHORTCUT = {"a": {"b", "d"}, "b": {"c"}, "c": {"d"}, "d": {LOSS}}
LOOP = {"a": {"b"}, "b": {"a", "c"}, "c": {LOSS}}


@pytest.mark.parametrize(
    ("layers", "feeds", "expected"),
    [
        ("abc", CHAIN, "abc"),
        ("abc", {}, "abc"),
        ("abc", {"a": {"b"}, "b": {"c"}}, "abc"),
        (["x", "a", "b", "c", "d", "aux"], SIDE, "a"),
        (["x", "a", "b", "c", "d"], {**SIDE, "a": {"b"}}, "abcd"),
        ("abcd", SHORTCUT, "ad"),
        ("abc", LOOP, "abc"),
    ],
    ids=["chain", "nothing known", "loss not known", "two ends", "side branch first", "shortcut", "loop"],
)
def test_main_path(layers, feeds, expected):
    assert main_path(list(layers), feeds) == list(expected)


def test_a_layer_is_missed_for_good_only_if_chance_does_not_explain_it():
    presence = Presence()
    for step in range(60):
        here = step % 2
        presence.add({"a", f"turn {here}"}, {f"turn {1 - here}", "cut"})
        assert not presence.may_come_back("a") or step > 0
        if step == 3:
            assert presence.may_come_back("cut")
            assert presence.may_come_back("turn 0")
    assert not presence.may_come_back("cut")
    assert presence.may_come_back("turn 0")


def test_where_no_layer_takes_turns_none_is_missed_by_chance():
    presence = Presence()
    for _ in range(5):
        presence.add({"a"}, {"cut"})
        assert not presence.may_come_back("cut")
