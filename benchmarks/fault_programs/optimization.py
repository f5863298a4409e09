"""Faults of learning rates, schedules, decay, clipping and accumulation."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler

from benchmarks.fault_programs.base import Run, Supervised, convnet, fault, mlp
from benchmarks.fault_programs.data import cancer, diabetes, digits, flat, loaders
from benchmarks.fault_programs.wiring import TwoParts


@fault("learning rate is 0", "weights that do not move")
def group_with_rate_0(faulty: bool) -> Run:
    """A parameter group's learning rate is 0, left from a trial."""

    class Net(TwoParts):
        def configure_optimizers(self):
            groups = [{"params": self.body.parameters(), "lr": 0.0 if faulty else 1e-3}]
            return torch.optim.Adam([*groups, {"params": self.head.parameters()}], lr=3e-3)

    return Run(Net(), *loaders(digits()))


@fault("weights that do not move", "learning rate far too low")
def weights_in_bfloat16(faulty: bool) -> Run:
    """Weights in bfloat16 swallow the steps of SGD, which are smaller than half of their last digit."""
    net = mlp(10, 32, 1).to(torch.bfloat16 if faulty else torch.float32)
    nn.init.constant_(net[0].bias, 1.0)

    class Net(Supervised):
        def forward(self, x):
            return self.net(x.to(self.net[0].weight.dtype)).float()

    optimizer = partial(torch.optim.SGD, lr=1e-3)
    return Run(Net(net, F.mse_loss, optimizer), *loaders(diabetes(), 4))


@fault("gradients are not cleared")
def zero_grad_overridden(faulty: bool) -> Run:
    """optimizer_zero_grad is overridden for set_to_none, and does nothing."""

    class Net(Supervised):
        def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
            if not faulty:
                optimizer.zero_grad(set_to_none=False)

    return Run(Net(mlp(30, 32, 1), F.binary_cross_entropy_with_logits), *loaders(cancer()), epochs=6)


@fault("weight decay stronger than the gradient")
def decay_of_1(faulty: bool) -> Run:
    """SGD with weight_decay=1, meant as 1e-4."""
    decay = 1.0 if faulty else 1e-4
    net = Supervised(mlp(64, 64, 10), optimizer=lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=decay))
    return Run(net, *loaders(flat(digits())))


@fault("always clipped")
def clipped_to_a_thousandth(faulty: bool) -> Run:
    """gradient_clip_val=1e-3 with SGD: every step is a thousandth of what it should be."""
    net = Supervised(mlp(64, 64, 10), optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    return Run(net, *loaders(flat(digits())), trainer={"gradient_clip_val": 1e-3 if faulty else 10.0})


def rate(optimizer, good: float, bad: float, faulty: bool) -> Run:
    net = Supervised(mlp(64, 64, 10), optimizer=lambda p: optimizer(p, lr=bad if faulty else good))
    return Run(net, *loaders(flat(digits())))


@fault("learning rate far too high")
def adam_with_rate_1(faulty: bool) -> Run:
    """Adam with lr=1."""
    return rate(torch.optim.Adam, 3e-3, 1.0, faulty)


@fault("learning rate far too high", "values not finite")
def sgd_with_rate_100(faulty: bool) -> Run:
    """SGD with lr=100."""
    return rate(torch.optim.SGD, 0.1, 100.0, faulty)


@fault("learning rate far too low")
def adam_with_rate_of_a_hundred_millionth(faulty: bool) -> Run:
    """Adam with lr=1e-8."""
    return rate(torch.optim.Adam, 3e-3, 1e-8, faulty)


@fault("not converged", "learning rate far too low", "no better than a constant answer")
def logistic_regression_that_crawls(faulty: bool) -> Run:
    """Logistic regression with SGD, lr 1e-3: the loss still falls at the end."""
    rate = 1e-3 if faulty else 1.0
    net = Supervised(
        nn.Linear(30, 1), F.binary_cross_entropy_with_logits, lambda p: torch.optim.SGD(p, lr=rate)
    )
    return Run(net, *loaders(cancer()), epochs=6)


@fault("oscillates", "learning rate far too high")
def rate_at_the_edge_of_stability(faulty: bool) -> Run:
    """Full-batch regression with SGD just below the rate that diverges: the loss goes up and down."""
    data = diabetes()
    optimizer = partial(torch.optim.SGD, lr=0.6 if faulty else 0.1)
    return Run(Supervised(mlp(10, 32, 1), F.mse_loss, optimizer), *loaders(data, len(data.x)), epochs=100)


@fault("never better than at the start", "learning rate far too high")
def good_weights_thrown_away(faulty: bool) -> Run:
    """Fine-tuning of good weights with a learning rate of 0.3: the loss never comes back to where it began."""
    data = flat(digits())
    net = mlp(64, 64, 10)
    first = torch.optim.Adam(net.parameters(), lr=1e-2)
    for rows in torch.randperm(1280)[:320].split(32):
        first.zero_grad()
        F.cross_entropy(net(data.x[rows]), data.y[rows]).backward()
        first.step()
    optimizer = partial(torch.optim.Adam, lr=0.3 if faulty else 3e-3)
    return Run(Supervised(net, optimizer=optimizer), *loaders(data))


@fault(
    "learning rate far too high", "exploding gradient", "values not finite", "never better than at the start"
)
def loss_summed_over_the_batch(faulty: bool) -> Run:
    """reduction="sum" with the learning rate of a mean."""

    def loss(out, y):
        return F.mse_loss(out, y, reduction="sum" if faulty else "mean")

    net = Supervised(mlp(10, 64, 1), loss, lambda p: torch.optim.SGD(p, lr=0.1))
    return Run(net, *loaders(diabetes(), 64), epochs=15)


class Scheduled(Supervised):
    """With a scheduler that is made of the optimizer and the number of steps, and counts `interval`s."""

    def __init__(self, scheduler, interval: str = "step", rate: float = 3e-3) -> None:
        super().__init__(convnet(8, 16), optimizer=lambda p: torch.optim.Adam(p, lr=rate))
        self.scheduler, self.interval = scheduler, interval

    def configure_optimizers(self):
        optimizer = self.optimizer(self.parameters())
        scheduler = self.scheduler(optimizer, int(self.trainer.estimated_stepping_batches))
        return [optimizer], [{"scheduler": scheduler, "interval": self.interval}]


@fault("schedule ends too early", "learning rate is gone")
def cosine_over_six_steps(faulty: bool) -> Run:
    """A cosine over 6, meant as epochs and counted in steps: the rate is 0 from the sixth step on."""

    def schedule(optimizer, steps):
        end = 6 if faulty else steps
        return lr_scheduler.LambdaLR(
            optimizer, lambda i: 0.5 * (1 + torch.cos(torch.tensor(min(i / end, 1.0) * torch.pi)).item())
        )

    return Run(Scheduled(schedule), *loaders(digits()))


@fault("schedule ends too early", "schedule counted in the wrong unit", "learning rate is gone")
def milestones_in_epochs_counted_in_steps(faulty: bool) -> Run:
    """MultiStepLR(milestones=[1, 2]) is meant in epochs and counts steps."""

    def schedule(optimizer, steps):
        return lr_scheduler.MultiStepLR(optimizer, [1, 2], gamma=0.1)

    return Run(Scheduled(schedule, "step" if faulty else "epoch", 1e-2), *loaders(digits()), epochs=4)


@fault("schedule counted in the wrong unit")
def one_cycle_counted_in_epochs(faulty: bool) -> Run:
    """OneCycleLR over all steps with Lightning's default interval, the epoch: it never leaves its warm-up."""

    def schedule(optimizer, steps):
        return lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)

    return Run(Scheduled(schedule, "epoch" if faulty else "step"), *loaders(digits()))


@fault("schedule counted in the wrong unit")
def cosine_counted_in_epochs(faulty: bool) -> Run:
    """CosineAnnealingLR(T_max=number of steps) that is stepped once per epoch: the rate stays as it is."""

    def schedule(optimizer, steps):
        return lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)

    return Run(Scheduled(schedule, "epoch" if faulty else "step"), *loaders(digits()))


@fault("schedule stepped twice", "schedule ends too early")
def scheduler_stepped_by_hand_too(faulty: bool) -> Run:
    """training_step calls self.lr_schedulers().step(), and so does Lightning."""

    class Net(Scheduled):
        def training_step(self, batch, batch_idx):
            if faulty:
                self.lr_schedulers().step()
            return super().training_step(batch, batch_idx)

    def schedule(optimizer, steps):
        return lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)

    return Run(Net(schedule), *loaders(digits()))


@fault("learning rate is 0", "weights that do not move", "schedule counted in the wrong unit")
def warm_up_with_integer_division(faulty: bool) -> Run:
    """LambdaLR with step // steps, an integer division: the rate is 0 to the end."""

    def schedule(optimizer, steps):
        return lr_scheduler.LambdaLR(
            optimizer, lambda i: min(1, i // steps if faulty else (i + 1) / (0.2 * steps))
        )

    return Run(Scheduled(schedule), *loaders(digits()))


@fault("learning rate is gone", "schedule ends too early")
def decayed_by_a_fifth_each_step(faulty: bool) -> Run:
    """ExponentialLR(gamma=0.8) at each step, meant for each epoch."""

    def schedule(optimizer, steps):
        return lr_scheduler.ExponentialLR(optimizer, gamma=0.8 if faulty else 0.98)

    return Run(Scheduled(schedule, rate=1e-2), *loaders(digits()))
