"""Faults of attention and of language models on letters."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, fault
from benchmarks.fault_programs.data import Data, language, loaders, rows, text, waves

PAD = 0


class Attention(nn.Module):
    """Self-attention written by hand, (N, T, C) to (N, T, C)."""

    def __init__(self, size: int, heads: int = 4, causal: bool = True, softmax_dim: int = -1) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.heads, self.causal, self.softmax_dim = heads, causal, softmax_dim

    def forward(self, x):
        n, length, size = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if self.causal:
            future = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
            scores = scores.masked_fill(future, -1e9)
        return self.out((scores.softmax(self.softmax_dim) @ v).transpose(1, 2).reshape(n, length, size))


class Transformer(nn.Module):
    """Letters (N, T) to logits (N, T, letters), with blocks of attention and two linear layers."""

    def __init__(self, letters: int, size: int = 32, blocks: int = 2, **attention) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(letters, size), nn.Embedding(64, size)
        self.attention = nn.ModuleList(Attention(size, **attention) for _ in range(blocks))
        self.mlp = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(size), nn.Linear(size, 64), nn.GELU(), nn.Linear(64, size))
            for _ in range(blocks)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(blocks))
        self.head = nn.Linear(size, letters)

    def forward(self, x):
        x = self.embed(x) + self.place(torch.arange(x.shape[1], device=x.device))
        for attention, norm, mlp in zip(self.attention, self.norms, self.mlp, strict=True):
            x = x + attention(norm(x))
            x = x + mlp(x)
        return self.head(x)


def next_letter(logits, y):
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


@fault("sees the future")
def no_causal_mask(faulty: bool) -> Run:
    """A language model of hand-written attention without the causal mask."""
    data, letters = language()
    return Run(Supervised(Transformer(letters, causal=not faulty), next_letter), *loaders(data))


@fault("sees the future")
def encoder_layer_without_a_mask(faulty: bool) -> Run:
    """nn.TransformerEncoder as a language model, called without a mask."""

    class Net(HandWritten):
        def __init__(self, letters):
            super().__init__()
            self.embed, self.place = nn.Embedding(letters, 32), nn.Parameter(0.02 * torch.randn(64, 32))
            layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
            self.encoder, self.head = nn.TransformerEncoder(layer, 1), nn.Linear(32, letters)

        def step(self, batch):
            x, y = batch
            mask = None if faulty else nn.Transformer.generate_square_subsequent_mask(x.shape[1])
            return next_letter(
                self.head(self.encoder(self.embed(x) + self.place[: x.shape[1]], mask=mask)), y
            )

    data, letters = language()
    return Run(Net(letters), *loaders(data))


@fault("targets are the inputs")
def target_not_shifted(faulty: bool) -> Run:
    """The data set gives the same window as input and as target."""
    data, letters = language()
    if faulty:
        data = Data(data.x, data.x, data.x_val, data.x_val)
    return Run(Supervised(Transformer(letters), next_letter), *loaders(data))


@fault("targets are the inputs")
def gru_target_not_shifted(faulty: bool) -> Run:
    """A GRU language model takes logits and targets from the same places of the window."""

    class Net(HandWritten):
        def __init__(self, letters):
            super().__init__()
            self.embed, self.gru = nn.Embedding(letters, 32), nn.GRU(32, 64, batch_first=True)
            self.head = nn.Linear(64, letters)

        def step(self, batch):
            (tokens,) = batch
            logits = self.head(self.gru(self.embed(tokens))[0])
            return next_letter(logits, tokens) if faulty else next_letter(logits[:, :-1], tokens[:, 1:])

    train, val, letters = text()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(train), 32, shuffle=True)
    return Run(Net(letters), loader, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(val), 256))


@fault("targets shifted twice")
def shifted_by_the_data_set_and_by_the_loss(faulty: bool) -> Run:
    """The data set gives the next letters as targets, and the loss shifts once more."""

    def loss(logits, y):
        return next_letter(logits[:, :-1], y[:, 1:]) if faulty else next_letter(logits, y)

    data, letters = language()
    return Run(Supervised(Transformer(letters), loss), *loaders(data))


def padded(letters: torch.Tensor) -> torch.Tensor:
    """Windows that end at a random place, with the padding letter after it; other letters move up by one."""
    lengths = torch.randint(8, letters.shape[1] + 1, (len(letters), 1))
    return torch.where(torch.arange(letters.shape[1]) < lengths, letters + 1, PAD)


@fault("padding counts in the loss")
def ignore_index_forgotten(faulty: bool) -> Run:
    """Windows of different length are padded, and cross-entropy has no ignore_index."""
    train, val, letters = text()
    train, val = padded(train), padded(val)
    ignored = -100 if faulty else PAD

    def loss(logits, y):
        return F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=ignored)

    data = Data(train[:, :-1], train[:, 1:], val[:, :-1], val[:, 1:])
    return Run(Supervised(Transformer(letters + 1), loss), *loaders(data))


@fault("attention weights over the wrong axis")
def softmax_over_queries(faulty: bool) -> Run:
    """softmax(dim=-2) in hand-written attention: the weights sum to 1 over the queries."""
    return Run(Rows(dim=-2 if faulty else -1), *loaders(rows()))


class Rows(HandWritten):
    """Classifies digits as sequences of rows (N, 8, 8), with one block of attention."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.inp, self.place = nn.Linear(8, 32), nn.Parameter(0.5 * torch.randn(8, 32))
        self.attention, self.out = Attention(32, causal=False, softmax_dim=dim), nn.Linear(32, 10)

    def step(self, batch):
        x, y = batch
        x = self.inp(x) + self.place
        x = torch.relu(x + self.attention(x))
        return F.cross_entropy(self.out(x.mean(1)), y)


@fault("attention weights over the wrong axis", "softmax over the batch", "samples influence each other")
def softmax_over_the_samples(faulty: bool) -> Run:
    """Attention pooling with softmax(dim=0), over the samples and not over time."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.inp, self.score, self.out = (
                nn.LSTM(1, 32, batch_first=True),
                nn.Linear(32, 1),
                nn.Linear(32, 3),
            )

        def step(self, batch):
            x, y = batch
            h = self.inp(x)[0]
            weights = torch.softmax(self.score(h), dim=0 if faulty else 1)
            return F.cross_entropy(self.out((weights * h).sum(1)), y)

    return Run(Net(), *loaders(waves()))


@fault("samples influence each other")
def multihead_attention_without_batch_first(faulty: bool) -> Run:
    """nn.MultiheadAttention without batch_first gets (N, T, C), and attends from sample to sample."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.inp, self.place = nn.Linear(8, 32), nn.Parameter(0.5 * torch.randn(8, 32))
            self.attention, self.out = nn.MultiheadAttention(32, 4, batch_first=not faulty), nn.Linear(32, 10)

        def step(self, batch):
            x, y = batch
            x = self.inp(x) + self.place
            x = torch.relu(x + self.attention(x, x, x, need_weights=False)[0])
            return F.cross_entropy(self.out(x.mean(1)), y)

    return Run(Net(), *loaders(rows()))


@fault("padding is attended to", "inputs that cannot matter", "padding counts in the loss")
def padding_mask_forgotten(faulty: bool) -> Run:
    """Padded sequences of rows go through attention and a mean over time without a mask."""
    x, y, x_val, y_val = rows()
    lengths = torch.randint(5, 9, (len(x) + len(x_val), 1))
    kept = torch.arange(8) < lengths

    class Net(Rows):
        def step(self, batch):
            (x, mask), y = (batch[0][..., :8], batch[0][..., 8:]), batch[1]
            mask = torch.ones_like(mask) if faulty else mask
            x = self.inp(x) + self.place
            x = torch.relu(x + self.attention(x * mask))
            return F.cross_entropy(self.out((x * mask).sum(1) / mask.sum(1)), y)

    def with_mask(x, mask):
        return torch.cat([x * mask[..., None], mask[..., None].float()], dim=-1)

    data = Data(with_mask(x, kept[: len(x)]), y, with_mask(x_val, kept[len(x) :]), y_val)
    return Run(Net(), *loaders(data))
