"""Attention by hand, with its softmax over the right axis and over others."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.attention import attention_axis
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, rows

X = torch.randn(24, 5, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(24) % 3
WARN = [("attention weights over the wrong axis", "warn")]


class Attention(nn.Module):
    """(N, T, 8) to 3 classes.

    Args:
        normalize: scores to weights, both (N, T, T) or (N, heads, T, T).
        heads: of the attention.
        product: of weights and values.
    """

    def __init__(self, normalize, heads=1, product=torch.matmul):
        super().__init__()
        self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, 3)
        self.normalize, self.heads, self.product = normalize, heads, product

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        if self.heads > 1:
            q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (q, k, v))
        made = self.product(self.normalize(q @ k.mT / 8**0.5), v)
        return self.head((made.transpose(1, 2).flatten(2) if self.heads > 1 else made).mean(1))


def causal(scores):
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return scores.masked_fill(~mask, float("-inf")).softmax(-1)


def einsum(weights, values):
    return torch.einsum("nij,njd->nid", weights, values)


def renormalized(scores):
    weights = scores.softmax(1)
    return weights / weights.sum(-1, keepdim=True)


@pytest.mark.parametrize(
    ("net", "kinds"),
    [
        (lambda: Attention(lambda s: s.softmax(1)), WARN),
        (lambda: Attention(lambda s: F.softmax(s, dim=0)), WARN),
        (lambda: Attention(lambda s: s.softmax(1), heads=2), WARN),
        (lambda: Attention(nn.Softmax(dim=1), product=torch.bmm), WARN),
        (lambda: Attention(lambda s: s.softmax(1), product=einsum), WARN),
        (lambda: Attention(lambda s: s.softmax(-1)), []),
        (lambda: Attention(lambda s: s.softmax(2), heads=1, product=einsum), []),
        (lambda: Attention(lambda s: s.softmax(-1), heads=2), []),
        (lambda: Attention(causal), []),
    ],
)
def test_self_attention(net, kinds):
    assert found(Plain(net(), F.cross_entropy), rows(X, Y, batch_size=8), attention_axis) == kinds


class Pool(nn.Module):
    """DiffPool and NetVLAD: each step is shared among clusters, and a cluster sums its shares."""

    def __init__(self):
        super().__init__()
        self.assign, self.head = nn.Linear(8, 5), nn.Linear(8, 3)

    def forward(self, x):
        return self.head((self.assign(x).softmax(-1).mT @ x).mean(1))


class Slots(nn.Module):
    """Slot attention: the slots compete for each step, then each slot takes a mean."""

    def __init__(self):
        super().__init__()
        self.slots, self.key, self.head = nn.Parameter(torch.randn(3, 8)), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        weights = (self.slots @ self.key(x).mT).softmax(1)
        return self.head((weights / weights.sum(-1, keepdim=True) @ x).mean(1))


@pytest.mark.parametrize(
    "net", [Pool, Slots, lambda: Attention(renormalized), lambda: nn.TransformerEncoderLayer(8, 2, 8)]
)
def test_other_weights_are_not_taken_for_attention(net):
    class Pooled(Plain):
        def forward(self, x):
            made = self.net(x)
            return made.mean(1)[:, :3] if made.ndim == 3 else made

    observer = examine(Pooled(net(), F.cross_entropy), rows(X, Y, batch_size=8), attention_axis)
    assert observer.verdicts == []
    assert observer.why_not == ["the step has no attention of its own: no softmax of scores times values"]


def test_the_message_has_the_axis():
    (verdict,) = examine(
        Plain(Attention(lambda s: s.softmax(1)), F.cross_entropy), rows(X, Y, batch_size=8), attention_axis
    ).verdicts
    assert "shape (8, 5, 5) sum to 1 over axis 1" in verdict.message
