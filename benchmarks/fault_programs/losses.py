"""Faults between the network's output and the loss."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, convnet, fault, mlp
from benchmarks.fault_programs.data import cancer, diabetes, digits, flat, loaders, rare, wine


@fault("softmax before cross-entropy")
def softmax_layer_and_cross_entropy(faulty: bool) -> Run:
    """The network ends with nn.Softmax, and the loss is F.cross_entropy."""
    net = mlp(64, 64, 10)
    if faulty:
        net.append(nn.Softmax(dim=1))
    return Run(Supervised(net), *loaders(flat(digits())))


@fault("softmax before cross-entropy")
def softmax_in_forward_of_a_convnet(faulty: bool) -> Run:
    """forward returns F.softmax of the last layer, and the loss is nn.CrossEntropyLoss()."""

    class Net(Supervised):
        def forward(self, x):
            x = self.net(x)
            return F.softmax(x, dim=-1) if faulty else x

    return Run(Net(convnet(8, 16), nn.CrossEntropyLoss()), *loaders(digits()))


@fault("softmax before cross-entropy")
def softmax_written_by_hand(faulty: bool) -> Run:
    """The output is exp(x) over its sum, and the loss is F.cross_entropy."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = nn.Linear(13, 32), nn.Linear(32, 3)

        def forward(self, x):
            x = self.out(torch.tanh(self.hidden(x)))
            return x.exp() / x.exp().sum(1, keepdim=True) if faulty else x

        def step(self, batch):
            x, y = batch
            return F.cross_entropy(self(x), y)

    return Run(Net(), *loaders(wine(), 16), epochs=10)


@fault("sigmoid before BCE with logits")
def sigmoid_layer_and_bce_with_logits(faulty: bool) -> Run:
    """The network ends with nn.Sigmoid, and the loss is nn.BCEWithLogitsLoss()."""
    net = mlp(30, 32, 1)
    if faulty:
        net.append(nn.Sigmoid())
    return Run(Supervised(net, nn.BCEWithLogitsLoss()), *loaders(cancer()), epochs=6)


@fault("sigmoid before BCE with logits")
def multilabel_sigmoid_in_the_step(faulty: bool) -> Run:
    """torch.sigmoid of the output goes into F.binary_cross_entropy_with_logits, with ten labels per image."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.net = convnet(8, 16)

        def step(self, batch):
            x, y = batch
            out = self.net(x)
            if faulty:
                out = torch.sigmoid(out)
            return F.binary_cross_entropy_with_logits(out, F.one_hot(y, 10).float())

    return Run(Net(), *loaders(digits()))


@fault("logits into NLL loss", "loss is maximized")
def logits_and_nll(faulty: bool) -> Run:
    """F.nll_loss gets the last layer's output without log_softmax."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.net = convnet(8, 16)

        def step(self, batch):
            x, y = batch
            out = self.net(x)
            return F.nll_loss(out if faulty else F.log_softmax(out, dim=1), y)

    return Run(Net(), *loaders(digits()))


@fault("logits into NLL loss")
def probabilities_and_nll(faulty: bool) -> Run:
    """nn.NLLLoss gets softmax where it wants log_softmax."""
    last = nn.Softmax(dim=1) if faulty else nn.LogSoftmax(dim=1)
    return Run(Supervised(mlp(64, 64, 10).append(last), nn.NLLLoss()), *loaders(flat(digits())))


class Student(HandWritten):
    """Learns from a random but fixed teacher's probabilities."""

    def __init__(self, faulty: bool) -> None:
        super().__init__()
        self.student, self.teacher, self.faulty = (
            mlp(64, 64, 10),
            mlp(64, 32, 10).requires_grad_(False),
            faulty,
        )

    def step(self, batch):
        x, _ = batch
        with torch.no_grad():
            target = F.softmax(4 * self.teacher(x), dim=1)
        student = self.student(x)
        student = F.softmax(student, dim=1) if self.faulty else F.log_softmax(student, dim=1)
        return F.kl_div(student, target, reduction="batchmean")

    def configure_optimizers(self):
        return torch.optim.Adam(self.student.parameters(), lr=1e-2)


@fault("probabilities into KL divergence")
def distillation_with_probabilities(faulty: bool) -> Run:
    """F.kl_div gets the student's probabilities, not their logarithms."""
    return Run(Student(faulty), *loaders(flat(digits())))


@fault("softmax over the batch")
def log_softmax_over_dim_0(faulty: bool) -> Run:
    """nn.LogSoftmax(dim=0) before nn.NLLLoss."""
    net = mlp(64, 64, 10).append(nn.LogSoftmax(dim=0 if faulty else 1))
    return Run(Supervised(net, nn.NLLLoss()), *loaders(flat(digits())))


@fault("softmax over the batch")
def softmax_over_dim_0_in_a_convnet(faulty: bool) -> Run:
    """log(softmax(dim=0)) in forward, and nll_loss."""

    class Net(Supervised):
        def forward(self, x):
            return torch.log(torch.softmax(self.net(x), 0 if faulty else 1) + 1e-8)

    return Run(Net(convnet(8, 16), F.nll_loss), *loaders(digits()))


@fault("nonlinearity on the logits")
def relu_after_every_layer(faulty: bool) -> Run:
    """A loop puts a ReLU after every layer, also the last, before cross-entropy."""
    layers = []
    for n, m in ((64, 64), (64, 32), (32, 10)):
        layers += [nn.Linear(n, m), nn.ReLU()]
    return Run(Supervised(nn.Sequential(*layers[: None if faulty else -1])), *loaders(flat(digits())))


@fault("nonlinearity on the logits")
def relu_in_forward_before_bce(faulty: bool) -> Run:
    """forward returns F.relu(self.out(x)), which BCE with logits takes as a logit."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.fc1, self.out = nn.Linear(30, 32), nn.Linear(32, 1)

        def forward(self, x):
            x = self.out(F.relu(self.fc1(x)))
            return F.relu(x) if faulty else x

        def step(self, batch):
            return F.binary_cross_entropy_with_logits(self(batch[0]), batch[1])

    return Run(Net(), *loaders(cancer()), epochs=6)


@fault("output cannot reach the targets")
def relu_head_and_negative_targets(faulty: bool) -> Run:
    """A regression network ends with a ReLU, and half of the standardized targets are negative."""
    net = mlp(10, 32, 1)
    if faulty:
        net.append(nn.ReLU())
    return Run(Supervised(net, F.mse_loss), *loaders(diabetes()), epochs=8)


@fault("output cannot reach the targets")
def sigmoid_head_and_large_targets(faulty: bool) -> Run:
    """A regression network ends with torch.sigmoid, and targets reach from -1.6 to 2.5."""

    class Net(Supervised):
        def forward(self, x):
            x = self.net(x)
            return torch.sigmoid(x) if faulty else x

    return Run(Net(mlp(10, 32, 1), nn.SmoothL1Loss()), *loaders(diabetes()), epochs=8)


@fault("shapes broadcast in the loss")
def targets_without_the_last_dimension(faulty: bool) -> Run:
    """F.mse_loss of an output (N, 1) and a target (N,)."""
    data = diabetes()
    if faulty:
        data = data._replace(y=data.y[:, 0], y_val=data.y_val[:, 0])
    return Run(Supervised(mlp(10, 32, 1), F.mse_loss), *loaders(data), epochs=8)


@fault("shapes broadcast in the loss")
def squared_error_by_hand(faulty: bool) -> Run:
    """((prediction - y) ** 2).mean() of a prediction (N,) and a target (N, 1)."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.net = mlp(10, 32, 1)

        def forward(self, x):
            return self.net(x).squeeze(-1)

        def step(self, batch):
            x, y = batch
            return ((self(x) - (y if faulty else y[:, 0])) ** 2).mean()

    return Run(Net(), *loaders(diabetes()), epochs=8)


class Gaussian(HandWritten):
    """Regression that learns mean and deviation."""

    def __init__(self, faulty: bool) -> None:
        super().__init__()
        self.net, self.faulty = mlp(10, 32, 2), faulty

    def step(self, batch):
        x, y = batch
        mean, log_std = self.net(x).chunk(2, dim=1)
        log_likelihood = torch.distributions.Normal(mean, log_std.clamp(-5, 5).exp()).log_prob(y).mean()
        return log_likelihood if self.faulty else -log_likelihood


@fault("loss is maximized")
def likelihood_without_the_minus(faulty: bool) -> Run:
    """The log-likelihood of a normal distribution is returned as the loss; its minus is forgotten."""
    return Run(Gaussian(faulty), *loaders(diabetes()), epochs=8)


@fault("loss is maximized")
def cross_entropy_by_hand_without_the_minus(faulty: bool) -> Run:
    """Cross-entropy written as log_softmax(out)[range(N), y].mean()."""

    def loss(out, y):
        picked = F.log_softmax(out, dim=1)[torch.arange(len(y)), y].mean()
        return picked if faulty else -picked

    return Run(Supervised(convnet(8, 16), loss), *loaders(digits()))


@fault("class weights inverted")
def weights_are_the_frequencies(faulty: bool) -> Run:
    """The class weights of cross-entropy are the frequencies, not their inverse."""
    data = rare(0.1)
    share = torch.bincount(data.y).float() / len(data.y)
    weights = share if faulty else 0.5 / share
    return Run(Supervised(mlp(64, 32, 2), nn.CrossEntropyLoss(weight=weights)), *loaders(data), epochs=4)


@fault("class weights inverted")
def positive_weight_upside_down(faulty: bool) -> Run:
    """pos_weight of BCE is positives over negatives, not negatives over positives."""
    data = rare(0.15)
    data = data._replace(y=data.y.float()[:, None], y_val=data.y_val.float()[:, None])
    ratio = data.y.mean() / (1 - data.y.mean())
    loss = nn.BCEWithLogitsLoss(pos_weight=ratio if faulty else 1 / ratio)
    return Run(Supervised(mlp(64, 32, 1), loss), *loaders(data), epochs=4)
