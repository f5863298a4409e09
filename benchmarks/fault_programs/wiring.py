"""Faults between the parameters, their gradients and the optimizer."""

import copy
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, adam, convnet, fault
from benchmarks.fault_programs.data import digits, loaders

MISSING = ("parameters missing from the optimizer", "optimizer holds other tensors")
CUT = ("cut off from the loss", "no gradient")


class TwoParts(HandWritten):
    """A body and a head for digits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        return self.head(self.body(x))

    def step(self, batch):
        x, y = batch
        return F.cross_entropy(self(x), y)


@fault(*MISSING)
def head_replaced_after_the_optimizer_was_made(faulty: bool) -> Run:
    """The optimizer is made in __init__, before the head is replaced by one for the right number of classes."""

    class Net(TwoParts):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(32, 1000)
            if faulty:
                self.made_in_init = adam(self.parameters())
            self.head = nn.Linear(32, 10)

        def configure_optimizers(self):
            return self.made_in_init if faulty else adam(self.parameters())

    return Run(Net(), *loaders(digits()))


@fault(*MISSING)
def only_the_head_in_the_optimizer(faulty: bool) -> Run:
    """configure_optimizers gives self.head.parameters(), though the body is to be trained, too."""

    class Net(TwoParts):
        def configure_optimizers(self):
            return adam(self.head.parameters() if faulty else self.parameters())

    return Run(Net(), *loaders(digits()))


@fault("optimizer holds other tensors", "parameters missing from the optimizer", "weights that do not move")
def optimizer_of_a_copy(faulty: bool) -> Run:
    """The optimizer is built from a deep copy of the network."""

    class Net(TwoParts):
        def configure_optimizers(self):
            return adam((copy.deepcopy(self) if faulty else self).parameters())

    return Run(Net(), *loaders(digits()))


@fault("optimizer holds other tensors", "parameters missing from the optimizer", "weights that do not move")
def weights_replaced_at_the_start(faulty: bool) -> Run:
    """on_train_start replaces a layer's weight by a new nn.Parameter, after the optimizer was made."""

    class Net(TwoParts):
        def on_train_start(self):
            weight = nn.init.orthogonal_(torch.empty_like(self.body[1].weight))
            if faulty:
                self.body[1].weight = nn.Parameter(weight)
            else:
                self.body[1].weight.data.copy_(weight)

    return Run(Net(), *loaders(digits()))


@fault("layers not registered", "parameters missing from the optimizer")
def layers_in_a_list(faulty: bool) -> Run:
    """Hidden layers are kept in a Python list, not in nn.ModuleList."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            layers = [nn.Linear(64, 64), nn.Linear(64, 64)]
            self.hidden = layers if faulty else nn.ModuleList(layers)
            self.out = nn.Linear(64, 10)

        def step(self, batch):
            x, y = batch
            x = x.flatten(1)
            for layer in self.hidden:
                x = torch.relu(layer(x))
            return F.cross_entropy(self.out(x), y)

    return Run(Net(), *loaders(digits()))


@fault("layers not registered", "parameters missing from the optimizer")
def heads_in_a_dict(faulty: bool) -> Run:
    """Two heads are kept in a Python dict, not in nn.ModuleDict."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.body = convnet(8, 16, classes=32).append(nn.ReLU())
            heads = {"digit": nn.Linear(32, 10), "odd": nn.Linear(32, 2)}
            self.heads = heads if faulty else nn.ModuleDict(heads)

        def step(self, batch):
            x, y = batch
            z = self.body(x)
            return F.cross_entropy(self.heads["digit"](z), y) + F.cross_entropy(self.heads["odd"](z), y % 2)

    return Run(Net(), *loaders(digits()))


def cut(name: str, how) -> None:
    """A program whose body's output goes through `how` before the head."""

    def build(faulty: bool) -> Run:
        class Net(TwoParts):
            def forward(self, x):
                features = self.body(x)
                return self.head(how(features) if faulty else features)

        return Run(Net(), *loaders(digits()))

    build.__name__, build.__doc__ = name, how.__doc__
    fault(*CUT)(build)


def detached(features):
    """The body's output is detached before the head."""
    return features.detach()


def through_data(features):
    """The head gets features.data."""
    return features.data


def through_numpy(features):
    """Features go through NumPy and back."""
    return torch.from_numpy(features.detach().numpy().copy())


def made_new(features):
    """Features are wrapped in torch.tensor(features.tolist())."""
    return torch.tensor(features.tolist())


for way in (detached, through_data, through_numpy, made_new):
    cut(f"features_{way.__name__}", way)


@fault(*CUT)
def body_under_no_grad(faulty: bool) -> Run:
    """The body runs under torch.no_grad, left from when it was frozen."""

    class Net(TwoParts):
        def forward(self, x):
            with torch.set_grad_enabled(self.training and not faulty):
                features = self.body(x)
            return self.head(features)

    return Run(Net(), *loaders(digits()))


@fault("no gradient", "cut off from the loss")
def hard_threshold_within(faulty: bool) -> Run:
    """(x > 0).float() as the activation of the first layer, whose gradient is zero everywhere."""

    class Net(TwoParts):
        def forward(self, x):
            x = self.body[1](x.flatten(1))
            x = torch.sign(x) if faulty else torch.tanh(x)
            return self.head(torch.relu(self.body[3](x)))

    return Run(Net(), *loaders(digits()))


@fault("unused layers", "cut off from the loss", "no gradient")
def layer_defined_and_never_called(faulty: bool) -> Run:
    """forward calls fc2 twice and fc3 never."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2, self.fc3 = nn.Linear(64, 48), nn.Linear(48, 48), nn.Linear(48, 48)
            self.out = nn.Linear(48, 10)

        def step(self, batch):
            x, y = batch
            x = torch.relu(self.fc2(torch.relu(self.fc1(x.flatten(1)))))
            x = torch.relu(self.fc2(x) if faulty else self.fc3(x))
            return F.cross_entropy(self.out(x), y)

    return Run(Net(), *loaders(digits()))


@fault("unused layers", "cut off from the loss", "no gradient")
def head_without_a_part_in_the_loss(faulty: bool) -> Run:
    """The second task's loss is computed and not added."""

    class Net(TwoParts):
        def __init__(self):
            super().__init__()
            self.odd = nn.Linear(32, 2)

        def step(self, batch):
            x, y = batch
            z = self.body(x)
            digit, odd = F.cross_entropy(self.head(z), y), F.cross_entropy(self.odd(z), y % 2)
            return digit if faulty else digit + odd

    return Run(Net(), *loaders(digits()))


@fault("weights that do not move")
def average_copied_the_wrong_way(faulty: bool) -> Run:
    """After each step the moving average is copied into the network, not the network into the average."""

    class Net(TwoParts):
        def __init__(self):
            super().__init__()
            self.average = copy.deepcopy(self.body).requires_grad_(False)

        @torch.no_grad()
        def on_train_batch_end(self, *_):
            for mean, own in zip(self.average.parameters(), self.body.parameters(), strict=True):
                if faulty:
                    own.copy_(mean)
                else:
                    mean.lerp_(own, 0.1)

    return Run(Net(), *loaders(digits()))


@fault("frozen weights that move")
def frozen_with_a_typing_error(faulty: bool) -> Run:
    """The pretrained body is frozen with `parameter.require_grad = False`, without the s."""

    class Net(TwoParts):
        optimizer = staticmethod(partial(adam, lr=2e-2))

        def __init__(self):
            super().__init__()
            for parameter in self.body.parameters():
                if faulty:
                    parameter.require_grad = False
                else:
                    parameter.requires_grad = False

    return Run(Net(), *loaders(digits()))


@fault("frozen weights that move")
def frozen_as_a_module(faulty: bool) -> Run:
    """The pretrained body is frozen with `self.body.requires_grad = False`, which sets an attribute and nothing else."""

    class Net(TwoParts):
        optimizer = staticmethod(partial(adam, lr=2e-2))

        def __init__(self):
            super().__init__()
            if faulty:
                self.body.requires_grad = False
            else:
                self.body.requires_grad_(False)

    return Run(Net(), *loaders(digits()))


@fault("only normalization layers train")
def all_frozen_but_batch_norm(faulty: bool) -> Run:
    """A loop over the names freezes the convolutions and the head; BatchNorm alone is left."""
    net = convnet(8, 16, norm=nn.BatchNorm2d)
    if faulty:
        for module in net:
            if not isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
    return Run(Supervised(net), *loaders(digits()))
