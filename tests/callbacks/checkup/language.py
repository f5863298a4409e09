"""Language models in a few lines, right and wrong."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.callbacks.plain import Plain, rows

VOCABULARY, LENGTH = 11, 12
TEXT = torch.randint(1, VOCABULARY, (32, LENGTH + 2), generator=torch.Generator().manual_seed(0))
PADDED = torch.where(torch.arange(LENGTH + 2) < torch.arange(32)[:, None] % 6 + 6, TEXT, 0)


class Attention(nn.Module):
    """Self-attention over (N, T, D), causal or not."""

    def __init__(self, width, causal):
        super().__init__()
        self.qkv, self.out, self.causal = nn.Linear(width, 3 * width), nn.Linear(width, width), causal

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=self.causal))


class Recurrent(nn.Module):
    def __init__(self, width, bidirectional=False):
        super().__init__()
        self.rnn = nn.GRU(width, width // (1 + bidirectional), batch_first=True, bidirectional=bidirectional)

    def forward(self, x):
        return self.rnn(x)[0]


class LanguageModel(Plain):
    """Tokens (N, T) to logits (N, T, K).

    Args:
        body: what mixes the positions.
        shift: how far the targets lie ahead.
        padding: the id that fills up short texts.
        loss: of logits (N T, K) and targets (N T,).
    """

    def __init__(self, body, shift=1, padding=None, loss=F.cross_entropy):
        super().__init__(None, loss)
        self.embedding = nn.Embedding(VOCABULARY, 8, padding_idx=padding)
        self.net = nn.Sequential(body, nn.Linear(8, VOCABULARY))
        self.shift = shift

    def forward(self, ids):
        return self.net(self.embedding(ids))

    def training_step(self, batch, batch_idx):
        (text,) = batch
        ids, targets = text[:, :LENGTH], text[:, self.shift : self.shift + LENGTH]
        return self.loss(self(ids).flatten(0, 1), targets.flatten())


def texts(text=TEXT):
    return rows(text, batch_size=8)
