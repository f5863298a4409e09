"""Faults of dropout, normalization and train/eval modes."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, convnet, fault, mlp
from benchmarks.fault_programs.data import cancer, digits, flat, loaders, wine


@fault("layers in eval mode")
def eval_in_init(faulty: bool) -> Run:
    """__init__ calls self.net.eval(), copied from where the network was used for inference."""
    net = convnet(8, 16, norm=nn.BatchNorm2d)
    if faulty:
        net.eval()
    return Run(Supervised(net), *loaders(digits()))


@fault("layers in eval mode")
def eval_after_pictures(faulty: bool) -> Run:
    """on_train_epoch_start sets self.eval() to draw samples, and never self.train()."""

    class Net(Supervised):
        @torch.no_grad()
        def on_train_epoch_start(self):
            self.eval()
            self(torch.randn(4, 64))
            if not faulty:
                self.train()

    net = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))
    return Run(Net(net), *loaders(flat(digits())))


@fault("layers in eval mode")
def eval_after_validation(faulty: bool) -> Run:
    """on_train_batch_end evaluates the network every 20 steps under self.eval(), and leaves it there."""

    class Net(Supervised):
        @torch.no_grad()
        def on_train_batch_end(self, outputs, batch, batch_idx):
            if batch_idx % 20 == 19:
                self.eval()
                self(batch[0])
                if not faulty:
                    self.train()

    net = nn.Sequential(nn.Linear(30, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 1))
    return Run(Net(net, F.binary_cross_entropy_with_logits), *loaders(cancer(), 16))


@fault("dropout in evaluation")
def functional_dropout(faulty: bool) -> Run:
    """F.dropout(x, 0.5) without training=self.training."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(64, 128), nn.Linear(128, 10)

        def forward(self, x):
            x = F.relu(self.fc1(x.flatten(1)))
            x = F.dropout(x, 0.5) if faulty else F.dropout(x, 0.5, training=self.training)
            return self.fc2(x)

        def step(self, batch):
            return F.cross_entropy(self(batch[0]), batch[1])

    return Run(Net(), *loaders(digits()))


@fault("dropout in evaluation")
def dropout_made_in_forward(faulty: bool) -> Run:
    """forward makes a new nn.Dropout(0.3), which is always in train mode."""

    class Net(Supervised):
        def __init__(self):
            super().__init__(convnet(8, 16, classes=32))
            self.dropout, self.out = nn.Dropout(0.3), nn.Linear(32, 10)

        def forward(self, x):
            x = F.relu(self.net(x))
            return self.out(nn.Dropout(0.3)(x) if faulty else self.dropout(x))

    return Run(Net(), *loaders(digits()))


@fault("dropout too strong")
def keep_probability_taken_for_drop(faulty: bool) -> Run:
    """nn.Dropout(0.98): the probability to keep was meant."""
    drop = nn.Dropout(0.98 if faulty else 0.02)
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), drop, nn.Linear(128, 10))
    return Run(Supervised(net), *loaders(flat(digits())))


@fault("dropout too strong")
def dropout_on_the_logits_and_before(faulty: bool) -> Run:
    """Dropout of 0.95 behind each of two hidden layers."""
    share = 0.95 if faulty else 0.1
    layers = [
        nn.Linear(30, 64),
        nn.ReLU(),
        nn.Dropout(share),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Dropout(share),
    ]
    net = nn.Sequential(*layers, nn.Linear(64, 1))
    return Run(Supervised(net, F.binary_cross_entropy_with_logits), *loaders(cancer()), epochs=6)


@fault("batch too small for BatchNorm")
def batches_of_2_with_batch_norm(faulty: bool) -> Run:
    """BatchNorm1d on batches of two rows."""
    net = mlp(13, 32, 32, 3, norm=nn.BatchNorm1d)
    train, val = loaders(wine(), 2 if faulty else 32, drop_last=True)
    return Run(Supervised(net), train, val, epochs=1 if faulty else 12)


@fault("batch too small for BatchNorm")
def batch_norm_over_single_pixels(faulty: bool) -> Run:
    """BatchNorm2d on maps of 1x1 pixel with batches of four images."""
    layers = [nn.Conv2d(1, 16, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 32, 1)]
    net = nn.Sequential(*layers, nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(), nn.Linear(32, 10))
    train, val = loaders(digits(), 4 if faulty else 32)
    return Run(Supervised(net), train, val)
