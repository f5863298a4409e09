"""Healthy programs of further tasks: contrastive, several tasks or optimizers, averages of weights."""

import copy

import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import StochasticWeightAveraging
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, adam, convnet, mlp
from benchmarks.fault_programs.controls import fast
from benchmarks.fault_programs.data import diabetes, digits, flat, loaders
from benchmarks.fault_programs.healthy_networks import program
from benchmarks.fault_programs.losses import Gaussian, Student
from benchmarks.fault_programs.manual import Manual
from benchmarks.fault_programs.wiring import TwoParts


@program
def gaussian_likelihood() -> Run:
    net = Gaussian(False)
    return Run(net, *loaders(diabetes()), epochs=8)


@program
def distillation() -> Run:
    return Run(Student(False), *loaders(flat(digits())))


@program
def triplets() -> Run:
    """Anchor, positive and negative, drawn from the batch by label."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.net = mlp(64, 64, 16)

        def step(self, batch):
            x, y = batch
            z = F.normalize(self.net(x.flatten(1)), dim=1)
            same = (y[:, None] == y) & ~torch.eye(len(y), dtype=torch.bool)
            distance = 2 - 2 * z @ z.T
            hardest = (distance - 10.0 * ~same).amax(1).clamp(min=0)
            return F.relu(hardest - (distance + 10.0 * (y[:, None] == y)).amin(1) + 0.3).mean()

    return Run(Net(), *loaders(digits(), 64), epochs=5)


@program
def bootstrap_your_own_latent() -> Run:
    """BYOL: a network predicts the output of its own moving average, which gets no gradient."""

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.online, self.predictor = mlp(64, 64, 16, norm=nn.BatchNorm1d), mlp(16, 32, 16)
            self.target = copy.deepcopy(self.online).requires_grad_(False)

        def step(self, batch):
            x = batch[0].flatten(1)
            views = [x + 0.2 * torch.randn_like(x) for _ in range(2)]
            with torch.no_grad():
                target = F.normalize(self.target(views[1]), dim=1)
            return (F.normalize(self.predictor(self.online(views[0])), dim=1) - target).square().sum(1).mean()

        @torch.no_grad()
        def on_train_batch_end(self, *_):
            for mean, own in zip(self.target.parameters(), self.online.parameters(), strict=True):
                mean.lerp_(own, 0.02)

    return Run(Net(), *loaders(digits()))


@program
def several_labels() -> Run:
    def loss(out, y):
        return F.binary_cross_entropy_with_logits(
            out, torch.stack([y % 2, y // 5, (y == 3).long()], 1).float()
        )

    return Run(Supervised(convnet(8, 16, classes=3), loss, fast), *loaders(digits()))


@program
def several_tasks_weighted_by_uncertainty() -> Run:
    class Net(TwoParts):
        def __init__(self):
            super().__init__()
            self.odd, self.log_variance = nn.Linear(32, 2), nn.Parameter(torch.zeros(2))

        def step(self, batch):
            x, y = batch
            z = self.body(x)
            losses = torch.stack([F.cross_entropy(self.head(z), y), F.cross_entropy(self.odd(z), y % 2)])
            return (losses * (-self.log_variance).exp() + self.log_variance).sum()

    return Run(Net(), *loaders(digits()))


@program
def manual_optimization() -> Run:
    return Run(Manual(), *loaders(digits()))


@program
def manual_accumulation() -> Run:
    return Run(Manual(micro=4), *loaders(digits()))


@program
def two_optimizers_for_body_and_head() -> Run:
    class Net(Manual):
        def training_step(self, batch, batch_idx):
            optimizers = self.optimizers()
            loss = self.step(batch)
            for optimizer in optimizers:
                optimizer.zero_grad()
            self.manual_backward(loss)
            for optimizer in optimizers:
                optimizer.step()
            return {"loss": loss.detach()}

        def configure_optimizers(self):
            return [
                adam(self.body.parameters()),
                torch.optim.SGD(self.head.parameters(), lr=0.1, momentum=0.9),
            ]

    return Run(Net(), *loaders(digits()), optimizers=2)


@program
def groups_without_decay_for_norms_and_biases() -> Run:
    class Net(Supervised):
        def configure_optimizers(self):
            parameters = list(self.parameters())
            groups = [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.05}]
            return torch.optim.AdamW([*groups, {"params": [p for p in parameters if p.dim() < 2]}], lr=3e-3)

    return Run(Net(convnet(8, 16, norm=nn.BatchNorm2d)), *loaders(digits()))


@program
def smaller_rate_for_lower_layers() -> Run:
    class Net(TwoParts):
        def configure_optimizers(self):
            return adam([{"params": self.body.parameters(), "lr": 1e-3}, {"params": self.head.parameters()}])

    return Run(Net(), *loaders(digits()))


@program
def moving_average_of_the_weights() -> Run:
    class Net(TwoParts):
        def __init__(self):
            super().__init__()
            self.average = copy.deepcopy(self.body).requires_grad_(False)

        @torch.no_grad()
        def on_train_batch_end(self, *_):
            for mean, own in zip(self.average.parameters(), self.body.parameters(), strict=True):
                mean.lerp_(own, 0.05)

    return Run(Net(), *loaders(digits()))


@program
def stochastic_weight_averaging() -> Run:
    callbacks = [StochasticWeightAveraging(swa_lrs=1e-3, swa_epoch_start=2)]
    return Run(
        Supervised(convnet(8, 16), optimizer=fast), *loaders(digits()), trainer={"callbacks": callbacks}
    )


@program
def unfrozen_after_the_first_epoch() -> Run:
    class Net(TwoParts):
        def __init__(self):
            super().__init__()
            self.body.requires_grad_(False)

        def on_train_epoch_start(self):
            if self.current_epoch == 1:
                self.body.requires_grad_(True)

    return Run(Net(), *loaders(digits()))


@program
def layer_dropped_at_random() -> Run:
    """Stochastic depth: a residual branch is left out in a fifth of the steps, so that it then has no gradient."""

    class Net(TwoParts):
        def __init__(self):
            super().__init__()
            self.branch = mlp(32, 32, 32)

        def forward(self, x):
            x = self.body(x)
            if not self.training or torch.rand(()) > 0.2:
                x = x + self.branch(x)
            return self.head(x)

    return Run(Net(), *loaders(digits()))
