"""Healthy programs on sequences, sets, graphs and tables of identifiers."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, healthy, mlp
from benchmarks.fault_programs.controls import fast
from benchmarks.fault_programs.data import Data, digits, language, loaders, rows, waves
from benchmarks.fault_programs.healthy_networks import program
from benchmarks.fault_programs.language import Transformer, next_letter
from benchmarks.fault_programs.recurrent import Classifier


def recurrent(name: str, layer, size: int = 32) -> None:
    healthy(
        name, lambda: Run(Classifier(layer(), size, optimizer=fast), *loaders(waves())), "healthy_networks"
    )


@program
def rnn_over_rows_of_digits() -> Run:
    return Run(Classifier(nn.RNN(8, 32, batch_first=True), outputs=10, optimizer=fast), *loaders(rows()))


recurrent("lstm_classifier", lambda: nn.LSTM(1, 32, batch_first=True))
recurrent("gru_of_two_layers", lambda: nn.GRU(1, 32, 2, batch_first=True, dropout=0.1))
recurrent("bidirectional_gru", lambda: nn.GRU(1, 16, batch_first=True, bidirectional=True))


@program
def convolutions_over_time() -> Run:
    layers = [nn.Conv1d(1, 16, 3, dilation=1), nn.ReLU(), nn.Conv1d(16, 16, 3, dilation=2), nn.ReLU()]
    net = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1, 20)), *layers, nn.Flatten(), nn.Linear(224, 3))
    return Run(Supervised(net), *loaders(waves()))


@program
def transformer_language_model() -> Run:
    data, letters = language()
    return Run(
        Supervised(Transformer(letters), next_letter), *loaders(data), trainer={"gradient_clip_val": 1.0}
    )


class Recurrent(HandWritten):
    def __init__(self, letters: int, layer: type[nn.Module]) -> None:
        super().__init__()
        self.embed, self.layer, self.head = (
            nn.Embedding(letters, 32),
            layer(32, 64, batch_first=True),
            nn.Linear(64, letters),
        )

    def step(self, batch):
        x, y = batch
        return next_letter(self.head(self.layer(self.embed(x))[0]), y)


@program
def lstm_language_model() -> Run:
    data, letters = language()
    return Run(Recurrent(letters, nn.LSTM), *loaders(data))


@program
def gru_language_model() -> Run:
    data, letters = language()
    return Run(Recurrent(letters, nn.GRU), *loaders(data))


@program
def masked_letters() -> Run:
    """BERT's task: attention to both sides, and a loss at hidden letters only."""

    class Net(HandWritten):
        def __init__(self, letters):
            super().__init__()
            self.net, self.letters = Transformer(letters + 1, causal=False), letters

        def step(self, batch):
            x, _ = batch
            hidden = torch.rand(x.shape) < 0.15
            hidden[:, 0] = True
            return F.cross_entropy(self.net(x.masked_fill(hidden, self.letters))[hidden], x[hidden])

    data, letters = language()
    return Run(Net(letters), *loaders(data))


@program
def series_forecast_by_gru() -> Run:
    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.gru, self.out = nn.GRU(1, 32, batch_first=True), nn.Linear(32, 1)

        def step(self, batch):
            x, _ = batch
            return F.mse_loss(self.out(self.gru(x[:, :-1])[0]), x[:, 1:])

    return Run(Net(), *loaders(waves()))


@program
def set_of_numbers() -> Run:
    """Deep sets: a sum over the parts of a set, then a network; the target is the deviation."""

    class Net(Supervised):
        def __init__(self):
            super().__init__(nn.ModuleList([mlp(1, 32, 16), mlp(16, 32, 1)]), F.mse_loss)

        def forward(self, x):
            return self.net[1](self.net[0](x).mean(1))

    x = torch.randn(1280, 10, 1) * torch.rand(1280, 1, 1) * 2
    y = x.std(1)
    return Run(Net(), *loaders(Data(x[:1024], y[:1024], x[1024:], y[1024:])))


@program
def graph_convolutions() -> Run:
    """Two graph convolutions over the pixels' neighbours, with a fixed adjacency matrix as a buffer."""

    class Net(Supervised):
        def __init__(self):
            super().__init__(nn.ModuleList([nn.Linear(1, 16), nn.Linear(16, 16), nn.Linear(16 * 64, 10)]))
            place = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0))
            near = (torch.cdist(place, place) < 1.5).float()
            self.register_buffer("near", near / near.sum(1, keepdim=True))

        def forward(self, x):
            x = x.flatten(1)[..., None]
            for layer in self.net[:2]:
                x = torch.relu(layer(self.near @ x))
            return self.net[2](x.flatten(1))

    return Run(Net(), *loaders(digits()))


@program
def matrix_factorization() -> Run:
    """Ratings as products of embeddings; most rows of the embeddings have no gradient in a batch."""

    class Net(HandWritten):
        optimizer = staticmethod(lambda p: torch.optim.Adam(p, lr=5e-2))

        def __init__(self):
            super().__init__()
            self.users, self.items = nn.Embedding(60, 8), nn.Embedding(40, 8)

        def step(self, batch):
            pairs, rating = batch
            return F.mse_loss((self.users(pairs[:, 0]) * self.items(pairs[:, 1])).sum(1) / 8**0.5, rating)

    users, items = torch.randn(60, 3), torch.randn(40, 3)
    pairs = torch.cartesian_prod(torch.arange(60), torch.arange(40))[torch.randperm(2400)]
    rating = (users[pairs[:, 0]] * items[pairs[:, 1]]).sum(1) / 3**0.5
    return Run(Net(), *loaders(Data(pairs[:2000], rating[:2000], pairs[2000:], rating[2000:]), 64), epochs=4)
