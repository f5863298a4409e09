"""Networks that see what they should predict."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from callbacks.checkup.checks.future import sees_the_future
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.checkup.language import VOCABULARY, Attention, LanguageModel, Recurrent, texts
from tests.callbacks.plain import Plain, rows

FAULT = [("sees the future", "fail")]
SERIES = torch.randn(24, 13, 2, generator=torch.Generator().manual_seed(0)).cumsum(1)


class Convolution(nn.Module):
    """Over (N, T, D), with its padding on the left or on both sides."""

    def __init__(self, width, causal):
        super().__init__()
        self.conv, self.causal = nn.Conv1d(width, width, 3), causal

    def forward(self, x):
        return self.conv(F.pad(x.mT, (2, 0) if self.causal else (1, 1))).mT


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (lambda: Attention(8, causal=False), FAULT),
        (lambda: Attention(8, causal=True), []),
        (lambda: Recurrent(8, bidirectional=True), FAULT),
        (lambda: Recurrent(8), []),
        (lambda: Convolution(8, causal=False), FAULT),
        (lambda: Convolution(8, causal=True), []),
    ],
)
def test_language_models(body, kinds):
    assert found(LanguageModel(body()), texts(), sees_the_future) == kinds


class TimeFirst(LanguageModel):
    """Tokens (T, N), as in many recurrent language models."""

    def __init__(self, causal):
        super().__init__(nn.Identity())
        self.rnn = nn.GRU(8, 4 if not causal else 8, bidirectional=not causal)

    def forward(self, ids):
        return self.net(self.rnn(self.embedding(ids))[0])

    def training_step(self, batch, batch_idx):
        text = batch[0].T
        return self.loss(self(text[:-1]).flatten(0, 1), text[1:].flatten())


@pytest.mark.parametrize("causal", [True, False])
def test_time_may_come_first(causal):
    assert found(TimeFirst(causal), texts(), sees_the_future) == ([] if causal else FAULT)


def test_a_masked_language_model_sees_both_sides():
    class Masked(LanguageModel):
        def training_step(self, batch, batch_idx):
            ids, masked = batch[0], torch.rand(batch[0].shape) < 0.3
            logits = self(torch.where(masked, 0, ids)).flatten(0, 1)
            return self.loss(logits, torch.where(masked, ids, -100).flatten())

    observer = examine(Masked(Attention(8, causal=False)), texts(), sees_the_future)
    assert observer.verdicts == []
    assert observer.why_not


def test_an_encoder_sees_everything_and_the_decoder_only_the_past():
    class Translator(LanguageModel):
        def __init__(self):
            super().__init__(Attention(8, causal=True))
            self.encoder = nn.Sequential(nn.Embedding(VOCABULARY, 8), Attention(8, causal=False))

        def training_step(self, batch, batch_idx):
            text = batch[0]
            seen = self.embedding(text[:, :-1]) + self.encoder(text.flip(0)).mean(1, keepdim=True)
            return self.loss(self.net(seen).flatten(0, 1), text[:, 1:].flatten())

    assert found(Translator(), texts(), sees_the_future) == []


class Forecaster(Plain):
    """Each value of a series from those before it."""

    def __init__(self, bidirectional, split):
        super().__init__(None)
        self.net = nn.Sequential(nn.Linear(2, 8), Recurrent(8, bidirectional), nn.Linear(8, 2))
        self.split = split

    def training_step(self, batch, batch_idx):
        x, y = (batch[0][:, :-1], batch[0][:, 1:]) if self.split else batch
        return F.mse_loss(self(x), y)


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_series(bidirectional, split):
    loader = rows(SERIES) if split else rows(SERIES[:, :-1], SERIES[:, 1:])
    assert found(Forecaster(bidirectional, split), loader, sees_the_future) == (
        FAULT if bidirectional else []
    )


def test_an_autoencoder_of_series_cannot_be_checked():
    observer = examine(Forecaster(True, False), rows(SERIES, SERIES), sees_the_future)
    assert observer.why_not == ["the targets are not the inputs of the next position"]
