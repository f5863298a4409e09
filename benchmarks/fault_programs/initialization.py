"""Faults of initial weights, depth, activations and numerical range."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, adam, convnet, fault, mlp
from benchmarks.fault_programs.data import Data, cancer, diabetes, digits, flat, loaders, waves

GROWS = ("signal grows from layer to layer", "initial loss too high", "exploding gradient")
VANISHES = (
    "vanishing gradient",
    "vanishing gradient and signal",
    "gradient below float32",
    "identical units",
)


def initialize(net: nn.Module, weight, bias=nn.init.zeros_) -> nn.Module:
    """Initialize all linear and convolutional layers."""
    for module in net.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            weight(module.weight)
            bias(module.bias)
    return net


@fault("identical units")
def all_weights_constant(faulty: bool) -> Run:
    """nn.init.constant_(weight, 0.01) in every layer."""
    net = mlp(64, 64, 32, 10)
    if faulty:
        initialize(net, partial(nn.init.constant_, val=0.01))
    return Run(Supervised(net), *loaders(flat(digits())))


@fault("identical units", "no gradient", "vanishing gradient", "dead units")
def all_weights_zero(faulty: bool) -> Run:
    """All weights and biases of a convolutional network are 0."""
    net = convnet(8, 16)
    if faulty:
        initialize(net, nn.init.zeros_)
    return Run(Supervised(net), *loaders(digits()))


@fault("identical units")
def hidden_weights_of_1(faulty: bool) -> Run:
    """The hidden layer's weights begin with torch.ones, scaled by the number of inputs."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            start = torch.ones(32, 10) if faulty else torch.randn(32, 10)
            self.w1, self.b1 = nn.Parameter(start / 10**0.5), nn.Parameter(torch.zeros(32))
            self.out = nn.Linear(32, 1)

        def step(self, batch):
            x, y = batch
            return F.mse_loss(self.out(torch.tanh(F.linear(x, self.w1, self.b1))), y)

    return Run(Net(), *loaders(diabetes()), epochs=8)


@fault("initial loss too high", *GROWS)
def weights_ten_times_too_large(faulty: bool) -> Run:
    """Every weight of a convolutional network is multiplied by 10 after initialization."""
    net = convnet(8, 16)
    if faulty:
        with torch.no_grad():
            for parameter in net.parameters():
                parameter *= 10
    return Run(Supervised(net), *loaders(digits()))


@fault("initial loss too high", "signal grows from layer to layer")
def standard_normal_head(faulty: bool) -> Run:
    """The last layer's weights are torch.randn without a scale, over 256 inputs."""
    net = mlp(64, 256, 10)
    if faulty:
        nn.init.normal_(net[-1].weight, std=3.0)
    return Run(Supervised(net), *loaders(flat(digits())))


@fault(*GROWS)
def twenty_layers_that_grow(faulty: bool) -> Run:
    """Twenty relu layers with weights from normal_(0, 0.4): the signal doubles from layer to layer."""
    net = mlp(64, *[48] * 20, 10)
    initialize(net, partial(nn.init.normal_, std=0.4) if faulty else nn.init.kaiming_normal_)
    return Run(Supervised(net, optimizer=partial(adam, lr=1e-3)), *loaders(flat(digits())))


@fault(*VANISHES)
def deep_sigmoid_network(faulty: bool) -> Run:
    """Twelve sigmoid layers with PyTorch's default initial weights."""
    net = mlp(64, *[48] * 12, 10, activation=nn.Sigmoid)
    if not faulty:
        net = initialize(mlp(64, *[48] * 6, 10), nn.init.kaiming_normal_)
    return Run(Supervised(net), *loaders(flat(digits())))


@fault(*VANISHES)
def deep_tanh_network_with_small_weights(faulty: bool) -> Run:
    """Ten tanh layers with weights from normal_(0, 0.01)."""
    net = mlp(30, *[32] * 10, 1, activation=nn.Tanh)
    initialize(net, partial(nn.init.normal_, std=0.01) if faulty else nn.init.xavier_normal_)
    return Run(Supervised(net, F.binary_cross_entropy_with_logits), *loaders(cancer()), epochs=6)


@fault("gradient below float32", *VANISHES)
def seventy_sigmoid_layers(faulty: bool) -> Run:
    """Seventy sigmoid layers: the gradient of the first is below what float32 can hold."""
    depth = 70 if faulty else 3
    net = mlp(64, *[32] * depth, 10, activation=nn.Sigmoid if faulty else nn.Tanh)
    return Run(Supervised(net), *loaders(flat(digits())))


@fault("dead units")
def bias_of_minus_ten(faulty: bool) -> Run:
    """Biases of relu layers begin at -10."""
    net = mlp(64, 64, 64, 10)
    if faulty:
        for layer in (net[0], net[2]):
            nn.init.constant_(layer.bias, -10.0)
    return Run(Supervised(net), *loaders(flat(digits())))


@fault("dead units", "learning rate far too high")
def relu_killed_by_the_first_steps(faulty: bool) -> Run:
    """SGD with lr=3 pushes relu units to where they are 0 for every input."""
    net = Supervised(mlp(64, 128, 128, 10), optimizer=partial(torch.optim.SGD, lr=3.0 if faulty else 0.1))
    return Run(net, *loaders(flat(digits())))


@fault("saturation", "inputs not normalized")
def tanh_saturated(faulty: bool) -> Run:
    """tanh layers with weights from normal_(0, 1), 64 inputs wide."""
    net = mlp(64, 64, 64, 10, activation=nn.Tanh)
    initialize(net, nn.init.normal_ if faulty else nn.init.xavier_normal_)
    return Run(Supervised(net), *loaders(flat(digits())))


@fault("no nonlinearity")
def linear_layers_in_a_row(faulty: bool) -> Run:
    """nn.Sequential of three linear layers without an activation."""
    net = mlp(10, 32, 32, 1, activation=nn.Identity if faulty else nn.ReLU)
    return Run(Supervised(net, F.mse_loss), *loaders(diabetes()), epochs=8)


@fault("no nonlinearity")
def result_of_relu_thrown_away(faulty: bool) -> Run:
    """forward calls F.relu(x) without assigning the result."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
            self.out = nn.Linear(16 * 64, 10)

        def step(self, batch):
            x, y = batch
            for layer in (self.conv1, self.conv2):
                x = layer(x)
                if faulty:
                    F.relu(x)
                else:
                    x = F.relu(x)
            return F.cross_entropy(self.out(x.flatten(1)), y)

    return Run(Net(), *loaders(digits()))


@fault("values not finite", "exploding gradient")
def logarithm_of_zero(faulty: bool) -> Run:
    """Binary cross-entropy by hand, with log(p) and log(1 - p), and no clamp."""

    def loss(out, y):
        p = torch.sigmoid(out * 40)
        p = p if faulty else p.clamp(1e-6, 1 - 1e-6)
        return -(y * p.log() + (1 - y) * (1 - p).log()).mean()

    return Run(Supervised(mlp(30, 64, 1), loss), *loaders(cancer()), epochs=6)


@fault("values not finite", "exploding gradient")
def square_root_of_zero(faulty: bool) -> Run:
    """A distance sqrt(sum of squares) of two equal inputs, whose gradient is infinite."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 16))

        def step(self, batch):
            x, y = batch
            z = self.net(x)
            squares = (z[:, None] - z).square().sum(-1)
            distance = (squares if faulty else squares + 1e-6).sqrt()
            same = (y[:, None] == y).float()
            return (same * distance + (1 - same) * F.relu(3 - distance)).mean()

    return Run(Net(), *loaders(digits()))


@fault("values not finite", "constant inputs", "exploding gradient")
def divided_by_a_deviation_of_zero(faulty: bool) -> Run:
    """Each pixel is divided by its deviation, which is 0 at the border."""
    x, y, x_val, y_val = flat(digits())
    std = x.std(0) if faulty else x.std(0).clamp(min=0.1)
    mean = x.mean(0)
    return Run(Supervised(mlp(64, 64, 10)), *loaders(Data((x - mean) / std, y, (x_val - mean) / std, y_val)))


@fault(
    "exploding gradient",
    "initial loss too high",
    "signal grows from layer to layer",
    "learning rate far too high",
)
def recurrent_weights_too_large(faulty: bool) -> Run:
    """A recurrent network with linear units and weights of twice an orthogonal matrix, over 20 steps, and no clipping."""

    class Net(HandWritten):
        optimizer = staticmethod(adam)

        def __init__(self):
            super().__init__()
            self.inp, self.rec, self.out = nn.Linear(1, 32), nn.Linear(32, 32), nn.Linear(32, 3)
            nn.init.orthogonal_(self.rec.weight, gain=2.0 if faulty else 1.0)

        def step(self, batch):
            x, y = batch
            h = x.new_zeros(len(x), 32)
            for t in range(x.shape[1]):
                h = F.relu(self.inp(x[:, t]) + self.rec(h))
            return F.cross_entropy(self.out(h), y)

    return Run(Net(), *loaders(waves()))
