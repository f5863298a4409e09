"""Faults of recurrent networks: own loops, nn.RNN, nn.LSTM and nn.GRU."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Optimizer, Run, adam, fault
from benchmarks.fault_programs.data import loaders, sums, waves


class Classifier(HandWritten):
    """A recurrent layer over (N, T, 1), and a linear layer on its last output."""

    def __init__(
        self, layer: nn.Module, size: int = 32, outputs: int = 3, optimizer: Optimizer = adam
    ) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.recurrent, self.out = layer, nn.Linear(size, outputs)

    def forward(self, x):
        return self.out(self.recurrent(x)[0][:, -1])

    def step(self, batch):
        x, y = batch
        return F.cross_entropy(self(x), y)


@fault("samples influence each other")
def lstm_without_batch_first(faulty: bool) -> Run:
    """Sequences (N, T, 1) go through an LSTM whose batch_first is left at False: it runs over the samples."""
    return Run(Classifier(nn.LSTM(1, 32, batch_first=not faulty)), *loaders(waves()))


@fault("samples influence each other")
def gru_with_view_for_transpose(faulty: bool) -> Run:
    """x.view(T, N, 1) where x.transpose(0, 1) was meant."""

    class Net(Classifier):
        def forward(self, x):
            n, length, _ = x.shape
            x = x.reshape(length, n, 1) if faulty else x.transpose(0, 1)
            return self.out(self.recurrent(x)[0][-1])

    return Run(Net(nn.GRU(1, 32)), *loaders(waves()))


@fault("inputs that cannot matter")
def first_output_taken_for_the_last(faulty: bool) -> Run:
    """output[:, 0] of a GRU, which has seen one element of the sequence, where output[:, -1] was meant."""

    class Net(Classifier):
        def forward(self, x):
            return self.out(self.recurrent(x)[0][:, 0 if faulty else -1])

        def step(self, batch):
            return F.mse_loss(self(batch[0]), batch[1])

    return Run(Net(nn.GRU(1, 32, batch_first=True), outputs=1), *loaders(sums()))


class OwnLoop(HandWritten):
    """An Elman network written as a loop; `between` acts on the state from step to step."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.inp, self.rec, self.out = nn.Linear(1, 32), nn.Linear(32, 32), nn.Linear(32, 3)
        nn.init.orthogonal_(self.rec.weight, gain=gain)

    def between(self, h):
        return h

    def forward(self, x):
        h = x.new_zeros(len(x), 32)
        for t in range(x.shape[1]):
            h = torch.tanh(self.inp(x[:, t]) + self.rec(self.between(h)))
        return self.out(h)

    def step(self, batch):
        return F.cross_entropy(self(batch[0]), batch[1])


@fault("cut off from the loss", "vanishing gradient through time", "inputs that cannot matter")
def state_detached_at_every_element(faulty: bool) -> Run:
    """h.detach() within the loop over time, as for truncation between batches."""

    class Net(OwnLoop):
        def between(self, h):
            return h.detach() if faulty else h

    return Run(Net(), *loaders(waves()))


@fault("vanishing gradient through time", "vanishing gradient")
def recurrent_weights_too_small(faulty: bool) -> Run:
    """Recurrent weights a tenth of an orthogonal matrix: after 20 elements nothing of the first is left."""
    return Run(OwnLoop(0.1 if faulty else 1.0), *loaders(waves()))


@fault("vanishing gradient through time", "vanishing gradient")
def rnn_over_a_long_sequence(faulty: bool) -> Run:
    """nn.RNN over 150 elements, of which the first decides."""
    x = torch.randn(640, 150 if faulty else 6, 1)
    y = (x[:, 0, 0] > 0).long() + (x[:, 0, 0] > 1).long()
    data = sums()._replace(x=x[:512], y=y[:512], x_val=x[512:], y_val=y[512:])
    return Run(Classifier(nn.RNN(1, 32, batch_first=True)), *loaders(data), epochs=6)


@fault("sees the future")
def bidirectional_forecast(faulty: bool) -> Run:
    """A bidirectional LSTM predicts the next value at every element; it has read it already."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.recurrent = nn.LSTM(1, 16, batch_first=True, bidirectional=faulty)
            self.out = nn.Linear(32 if faulty else 16, 1)

        def forward(self, x):
            return self.out(self.recurrent(x)[0])

        def step(self, batch):
            x, _ = batch
            return F.mse_loss(self(x[:, :-1]), x[:, 1:])

    return Run(Net(), *loaders(waves()))


@fault("padding counts in the loss")
def padded_elements_in_the_squared_error(faulty: bool) -> Run:
    """Series of 4 to 20 values are padded with 0, and the mean squared error is over all of them."""
    x, y, x_val, y_val = waves()
    lengths = torch.randint(4, 21, (len(x) + len(x_val), 1, 1))
    kept = torch.arange(20)[:, None] < lengths
    x, x_val = x * kept[: len(x)], x_val * kept[len(x) :]

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.recurrent, self.out = nn.GRU(1, 32, batch_first=True), nn.Linear(32, 1)

        def step(self, batch):
            x, _ = batch
            error = (self.out(self.recurrent(x[:, :-1])[0]) - x[:, 1:]).square()
            mask = x[:, 1:] != 0
            return error.mean() if faulty else error[mask].mean()

    return Run(Net(), *loaders(sums()._replace(x=x, y=y, x_val=x_val, y_val=y_val)))
