"""Faults of inputs, targets and the way a network reads them."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, adam, convnet, fault, mlp, sgd
from benchmarks.fault_programs.data import (
    Data,
    cancer,
    diabetes,
    digits,
    flat,
    loaders,
    rare,
    raw_digits,
    wine,
)


@fault("labels do not begin at 0")
def labels_from_1(faulty: bool) -> Run:
    """Labels are 1 to 10, and the network got an eleventh output when the first run failed."""
    x, y, x_val, y_val = flat(digits())
    shift = 1 if faulty else 0
    return Run(Supervised(mlp(64, 64, 10 + shift)), *loaders(Data(x, y + shift, x_val, y_val + shift)))


@fault("inputs not normalized")
def pixels_from_0_to_255(faulty: bool) -> Run:
    """Pixels from 0 to 255 go into a network trained with SGD."""
    data = flat(raw_digits() if faulty else digits())
    return Run(Supervised(mlp(64, 64, 10), optimizer=sgd), *loaders(data))


@fault("inputs not normalized")
def pixels_from_0_to_255_into_a_convnet(faulty: bool) -> Run:
    """Pixels from 0 to 255 go into a convolutional network."""
    return Run(Supervised(convnet(8, 16)), *loaders(raw_digits() if faulty else digits()))


@fault("inputs too small")
def divided_by_255_twice(faulty: bool) -> Run:
    """Pixels are divided by 255 in the data set and once more in forward."""
    x, y, x_val, y_val = raw_digits()

    class Net(Supervised):
        def forward(self, x):
            return self.net(x / 255 if faulty else x)

    return Run(Net(mlp(64, 64, 10)), *loaders(flat(Data(x / 255, y, x_val / 255, y_val))))


@fault("inputs too small")
def divided_twice_by_the_loader(faulty: bool) -> Run:
    """ToTensor's scaling to [0, 1] and a division by 255."""
    x, y, x_val, y_val = raw_digits()
    scale = 255.0**2 if faulty else 255.0
    return Run(Supervised(convnet(8, 16)), *loaders(Data(x / scale, y, x_val / scale, y_val)))


@fault("features of very different scale", "inputs not normalized")
def one_feature_in_other_units(faulty: bool) -> Run:
    """One of 30 features is 10,000 times as large as the others."""
    x, y, x_val, y_val = cancer()
    if faulty:
        x[:, 7] *= 1e4
        x_val[:, 7] *= 1e4
    net = Supervised(mlp(30, 32, 1), F.binary_cross_entropy_with_logits)
    return Run(net, *loaders(Data(x, y, x_val, y_val)), epochs=6)


@fault("features of very different scale", "inputs not normalized")
def table_as_it_is(faulty: bool) -> Run:
    """The table of breast cancer as it is: areas of thousands next to fractions of a hundredth."""
    net = Supervised(mlp(30, 32, 1), F.binary_cross_entropy_with_logits)
    return Run(net, *loaders(cancer(raw=faulty)), epochs=6)


@fault("targets of another scale")
def targets_in_hundreds(faulty: bool) -> Run:
    """Mean squared error of targets with mean 152 and deviation 77."""
    return Run(Supervised(mlp(10, 32, 1), F.mse_loss), *loaders(diabetes(raw=faulty)), epochs=8)


@fault("targets of another scale")
def targets_in_cents(faulty: bool) -> Run:
    """Targets 10,000 times too large."""
    x, y, x_val, y_val = diabetes()
    scale = 1e4 if faulty else 1.0
    net = Supervised(mlp(10, 32, 32, 1), F.mse_loss)
    return Run(net, *loaders(Data(x, y * scale, x_val, y_val * scale)), epochs=8)


@fault("constant inputs")
def integer_division_of_pixels(faulty: bool) -> Run:
    """Pixels are scaled with // 256, which makes them all 0."""
    x, y, x_val, y_val = raw_digits()
    if faulty:
        data = Data((x.int() // 256).float(), y, (x_val.int() // 256).float(), y_val)
    else:
        data = Data(x / 256, y, x_val / 256, y_val)
    return Run(Supervised(convnet(8, 16)), *loaders(data))


@fault("constant inputs", "inputs that cannot matter")
def the_same_row_for_every_index(faulty: bool) -> Run:
    """__getitem__ returns row 0 for every index, with the right label."""

    class Rows(torch.utils.data.Dataset):
        def __init__(self, x, y):
            self.x, self.y = x, y

        def __len__(self):
            return len(self.x)

        def __getitem__(self, i):
            return self.x[0 if faulty else i], self.y[i]

    data = wine()
    train = torch.utils.data.DataLoader(Rows(data.x, data.y), 16, shuffle=True)
    return Run(Supervised(mlp(13, 32, 3)), train, loaders(data)[1], epochs=10)


@fault("values not finite")
def missing_value_in_the_table(faulty: bool) -> Run:
    """One row of the table has a missing value, which NaN stands for."""
    data = wine()
    if faulty:
        data.x[17, 3] = float("nan")
    return Run(Supervised(mlp(13, 32, 3)), *loaders(data, 16), epochs=10)


@fault("inputs that cannot matter")
def columns_sliced_away(faulty: bool) -> Run:
    """forward takes x[:, :-20], written when the table had more columns."""

    class Net(Supervised):
        def forward(self, x):
            return self.net(x[:, :-20] if faulty else x)

    net = mlp(10 if faulty else 30, 32, 1)
    return Run(Net(net, F.binary_cross_entropy_with_logits), *loaders(cancer()), epochs=6)


@fault("inputs that cannot matter")
def one_channel_of_three(faulty: bool) -> Run:
    """Images have three channels, and forward reads the first."""
    x, y, x_val, y_val = digits()
    noise, noise_val = 0.3 * torch.randn(len(x), 3, 8, 8), 0.3 * torch.randn(len(x_val), 3, 8, 8)

    class Net(Supervised):
        def forward(self, x):
            return self.net(x[:, :1] if faulty else x.mean(1, keepdim=True))

    return Run(Net(convnet(8, 16)), *loaders(Data(x + noise, y, x_val + noise_val, y_val)))


@fault("samples influence each other")
def reshape_for_permute(faulty: bool) -> Run:
    """Rows (N, C) of a table become (C, N) by reshape, where a transpose was meant, and go back."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(13, 1))
            self.net = mlp(13, 32, 3)

        def step(self, batch):
            x, y = batch
            columns = x.reshape(x.shape[1], x.shape[0]) if faulty else x.T
            return F.cross_entropy(self.net((columns * self.scale).T), y)

    return Run(Net(), *loaders(wine(), 16), epochs=10)


@fault("samples influence each other")
def channels_last_with_view(faulty: bool) -> Run:
    """Images (H, W, N, 1) from a file become (N, 1, H, W) by view, where permute was meant."""

    class Net(Supervised):
        def forward(self, x):
            x = x.permute(2, 3, 0, 1)  # as the file has them
            n = x.shape[2]
            return self.net(x.reshape(n, 1, 8, 8) if faulty else x.permute(2, 3, 0, 1))

    return Run(Net(convnet(8, 16)), *loaders(digits()))


@fault("samples influence each other")
def standardized_within_the_batch(faulty: bool) -> Run:
    """forward subtracts the batch's mean and divides by its deviation, in evaluation as well."""

    class Net(Supervised):
        def forward(self, x):
            return self.net((x - x.mean(0)) / (x.std(0) + 1e-5) if faulty else x)

    return Run(Net(mlp(13, 32, 3)), *loaders(wine(), 16), epochs=10)


@fault("no better than a constant answer")
def inputs_and_targets_shuffled_apart(faulty: bool) -> Run:
    """Inputs are shuffled, and targets in another order."""
    x, y, x_val, y_val = flat(digits())
    if faulty:
        y, y_val = y[torch.randperm(len(y))], y_val[torch.randperm(len(y_val))]
    return Run(Supervised(mlp(64, 64, 10)), *loaders(Data(x, y, x_val, y_val)))


@fault("one class predicted", "no better than a constant answer")
def one_percent_positives(faulty: bool) -> Run:
    """1 % positives, and a loss without weights: the answer is always 0."""
    data = rare(0.012)
    weight = torch.tensor([1.0, 1.0 if faulty else 60.0])
    optimizer = sgd if faulty else partial(adam, lr=1e-2)
    net = Supervised(mlp(64, 16, 2), nn.CrossEntropyLoss(weight=weight), optimizer)
    return Run(net, *loaders(data), epochs=3)


@fault("overfits", "memorized")
def twenty_rows_and_many_weights(faulty: bool) -> Run:
    """24 rows, a network of 70,000 weights, and 100 steps."""
    data = cancer()
    noisy = torch.where(torch.rand_like(data.y) < 0.2, 1 - data.y, data.y)
    if faulty:
        data = data._replace(x=data.x[:24], y=noisy[:24])
    optimizer = partial(adam, lr=1e-2 if faulty else 1e-3)
    net = Supervised(mlp(30, 256, 256, 1), F.binary_cross_entropy_with_logits, optimizer)
    return Run(net, *loaders(data, 24 if faulty else 32), epochs=100 if faulty else 6)
