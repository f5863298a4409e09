"""Healthy programs in which layers take turns or part ways, so that their order alone says little."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, adam, healthy, mlp, sgd
from benchmarks.fault_programs.data import digits, flat, loaders

fast = partial(adam, lr=1e-2)


def program(build):
    """Register a healthy program under its function's name."""
    healthy(build.__name__, build, build.__module__.rsplit(".", 1)[-1])
    return build


def on_digits(module, epochs: int = 3) -> Run:
    return Run(module, *loaders(flat(digits())), epochs=epochs)


class Mixture(nn.Module):
    """Each row goes through the expert with the highest score, scaled by its share."""

    def __init__(self, size: int, num_experts: int) -> None:
        super().__init__()
        self.gate = nn.Linear(size, num_experts)
        self.experts = nn.ModuleList(mlp(size, size, size) for _ in range(num_experts))

    def forward(self, x: Tensor) -> Tensor:
        share, chosen = self.gate(x).softmax(1).max(1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            if (rows := (chosen == i).nonzero()[:, 0]).numel():
                out = out.index_add(0, rows, expert(x[rows]) * share[rows, None])
        return x + out


@program
def top_1_mixture_of_experts() -> Run:
    """Eighteen experts for 32 rows: at every step, some get none."""
    net = nn.Sequential(nn.Linear(64, 32), Mixture(32, 18), nn.ReLU(), nn.Linear(32, 10))
    return on_digits(Supervised(net))


class StochasticDepth(nn.Module):
    """A residual branch that is left out for the whole batch half of the time."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        if self.training and torch.rand(()) < 0.5:
            return x
        return x + self.branch(x)


@program
def stochastic_depth() -> Run:
    blocks = [StochasticDepth(mlp(32, 64, 32)) for _ in range(8)]
    return on_digits(Supervised(nn.Sequential(nn.Linear(64, 32), *blocks, nn.Linear(32, 10))))


class RandomHead(nn.Module):
    """One of several heads, drawn anew at each call."""

    def __init__(self, *heads: nn.Module) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, x: Tensor) -> Tensor:
        return self.heads[int(torch.randint(len(self.heads), ()))](x)


@program
def random_heads() -> Run:
    heads = [nn.Linear(64, 10) for _ in range(4)]
    return on_digits(
        Supervised(nn.Sequential(mlp(64, 64, 64), nn.ReLU(), RandomHead(*heads)), optimizer=fast)
    )


class TwoHeads(HandWritten):
    """A body and two heads; `sides` gives a loss of its own for what the first head says."""

    def __init__(self, side: nn.Module) -> None:
        super().__init__()
        self.body = mlp(64, 64, 32)
        self.side, self.head = side, nn.Linear(32, 10)

    def side_loss(self, h: Tensor, y: Tensor) -> Tensor:
        raise NotImplementedError

    def step(self, batch) -> Tensor:
        x, y = batch
        h = self.body(x).relu()
        side = self.side_loss(h, y)
        return side + F.cross_entropy(self.head(h), y)


class Bounded(TwoHeads):
    """A head whose outputs cost more beyond bounds that none of them crosses: the relu is 0 for all."""

    def side_loss(self, h: Tensor, y: Tensor) -> Tensor:
        z = self.side(h)
        return 0.1 * F.mse_loss(z, y.float()[:, None] / 10) + F.relu(z.abs() - 5).mean()


@program
def relu_in_the_loss_before_another_head() -> Run:
    module = Bounded(nn.Linear(32, 1))
    module.optimizer = partial(sgd, lr=0.05)
    return on_digits(module, epochs=6)


class RareEvent(TwoHeads):
    """A head for a rare event, whose bias says so from the start; it ends with a sigmoid and has its own loss."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(32, 6))
        nn.init.constant_(self.side.bias, -5.0)

    def side_loss(self, h: Tensor, y: Tensor) -> Tensor:
        found = torch.sigmoid(self.side(h))
        return F.binary_cross_entropy(found, (torch.rand_like(found) < 0.007).float())


@program
def output_sigmoid_before_another_head() -> Run:
    module = RareEvent()
    module.optimizer = partial(sgd, lr=0.05)
    return on_digits(module, epochs=6)


class Auxiliary(HandWritten):
    """A small branch next to the body, with 1e-5 of the loss, and an output that begins with 0."""

    def __init__(self, branch_first: bool) -> None:
        super().__init__()
        self.branch = mlp(64 if branch_first else 32, 16, 16, 10)
        self.body, self.head = mlp(64, 64, 48, 32), nn.Linear(32, 10)
        self.branch_first = branch_first
        nn.init.zeros_(self.head.weight)

    def step(self, batch) -> Tensor:
        x, y = batch
        aside = self.branch(x) if self.branch_first else None
        h = self.body(x).relu()
        aside = self.branch(h) if aside is None else aside
        return 1e-5 * F.cross_entropy(aside, y) + F.cross_entropy(self.head(h), y)

    def configure_optimizers(self):
        optimizer = self.optimizer(self.parameters())
        warm_up = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) ** 3 / 40**3))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": warm_up, "interval": "step"}}


@program
def auxiliary_branch_on_the_input() -> Run:
    return on_digits(Auxiliary(branch_first=True))


@program
def auxiliary_branch_on_the_body() -> Run:
    return on_digits(Auxiliary(branch_first=False))


@program
def output_of_zeros_and_a_warm_up() -> Run:
    net = mlp(64, 64, 48, 32, 10)
    nn.init.zeros_(net[-1].weight)
    return on_digits(
        Supervised(
            net, schedule=lambda optimizer, steps: LambdaLR(optimizer, lambda k: min(1.0, (k + 1) ** 3 / 4e4))
        )
    )
