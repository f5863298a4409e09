"""Recurrent network that reads a text and predicts the next character; Sutskever et al. 2011."""

from typing import Any

import torch
from torch import Tensor, nn

from examples.language_model.data import MAX_LENGTH, decode
from lit_models.base import Batch, LitModel


class LitCharGRU(LitModel):
    """One gated recurrent layer (Cho et al. 2014, https://arxiv.org/abs/1406.1078) over the characters.

    Args:
        embedding_size: numbers that stand for a character.
        hidden_size: numbers that the network remembers from character to character.
    """

    def __init__(self, *, embedding_size: int = 32, hidden_size: int = 128, **base: Any) -> None:
        super().__init__(**base)
        self.embedding = nn.Embedding(self.out_features, embedding_size)
        self.rnn = nn.GRU(embedding_size, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Turn characters (N, T) into logits (N, T, K) of the next ones."""
        return self.head(self.rnn(self.embedding(x))[0])

    @torch.no_grad()
    def generate(self, x: Tensor, num_steps: int = MAX_LENGTH) -> Tensor:
        """Continue texts (N, T) to (N, T + num_steps); each character is drawn from the predicted probabilities."""
        generator = torch.Generator(x.device).manual_seed(0)  # leaves the training's random numbers alone
        hidden, state = self.rnn(self.embedding(x))
        for _ in range(num_steps):
            probability = self.head(hidden[:, -1]).softmax(-1)
            drawn = torch.multinomial(probability, 1, generator=generator)
            x = torch.cat([x, drawn], dim=1)
            hidden, state = self.rnn(self.embedding(drawn), state)
        return x

    def sample_text(self, num_samples: int) -> list[str]:
        """Sentences that begin from nothing; every run shows some (docs/pictures.md)."""
        nothing = torch.zeros(num_samples, 1, dtype=torch.long, device=self.device)
        return [decode(tokens) for tokens in self.generate(nothing)]

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, list[str]]:
        """The sentences that begin as the batch does."""
        return {"prediction": [decode(tokens) for tokens in self.generate(batch[0])]}
