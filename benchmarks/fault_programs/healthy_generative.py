"""Healthy programs that model data: GANs, autoencoders, diffusion, flows and mixtures."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, adam, mlp
from benchmarks.fault_programs.controls import fast
from benchmarks.fault_programs.data import Data, diabetes, digits, flat, loaders
from benchmarks.fault_programs.healthy_networks import program
from benchmarks.fault_programs.manual import GAN, spread


@program
def gan_on_a_table() -> Run:
    return Run(GAN(), *loaders(diabetes(), 16), epochs=5, optimizers=2, learned=spread)


@program
def wasserstein_gan_with_clipped_weights() -> Run:
    class Net(GAN):
        def verdict(self, x, real):
            return self.discriminator(x).mean() * (-1.0 if real else 1.0)

        @torch.no_grad()
        def on_train_batch_end(self, *_):
            for parameter in self.discriminator.parameters():
                parameter.clamp_(-0.3, 0.3)

    return Run(Net(), *loaders(diabetes(), 16), epochs=5, optimizers=2, learned=spread)


@program
def denoising_autoencoder() -> Run:
    class Net(Supervised):
        def forward(self, x):
            return self.net(x + 0.3 * torch.randn_like(x) if self.training else x)

    x, _, x_val, _ = digits()
    layers = [nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
    net = nn.Sequential(*layers, nn.ConvTranspose2d(16, 1, 4, 2, 1))
    return Run(Net(net, F.mse_loss, fast), *loaders(Data(x, x, x_val, x_val)))


@program
def autoencoder_of_bits() -> Run:
    """Pixels from 0 to 1 and binary cross-entropy with logits."""
    x, _, x_val, _ = flat(digits())
    low, high = x.min(), x.max()
    x, x_val = (x - low) / (high - low), (x_val - low) / (high - low)
    net = nn.Sequential(mlp(64, 48, 16), nn.ReLU(), mlp(16, 48, 64))
    return Run(Supervised(net, F.binary_cross_entropy_with_logits, fast), *loaders(Data(x, x, x_val, x_val)))


@program
def principal_components_by_gradient() -> Run:
    """A linear autoencoder: two linear layers without an activation, by design."""
    x, _, x_val, _ = flat(digits())
    net = nn.Sequential(nn.Linear(64, 16, bias=False), nn.Linear(16, 64, bias=False))
    return Run(Supervised(net, F.mse_loss, fast), *loaders(Data(x, x, x_val, x_val)))


@program
def diffusion() -> Run:
    """Predicts the noise that was added to a digit, at a random level."""

    class Net(HandWritten):
        optimizer = staticmethod(adam)

        def __init__(self):
            super().__init__()
            self.net = mlp(65, 128, 128, 64, activation=nn.SiLU)

        def step(self, batch):
            x, level = batch[0].flatten(1), torch.rand(len(batch[0]), 1)
            noise = torch.randn_like(x)
            return F.mse_loss(
                self.net(torch.cat([level.sqrt() * noise + (1 - level).sqrt() * x, level], 1)), noise
            )

    return Run(Net(), *loaders(digits()))


@program
def normalizing_flow() -> Run:
    """Coupling layers on two moons; the loss is the negative log-likelihood."""

    class Net(HandWritten):
        optimizer = staticmethod(fast)

        def __init__(self):
            super().__init__()
            self.nets = nn.ModuleList(mlp(1, 32, 2, activation=nn.Tanh) for _ in range(4))

        def step(self, batch):
            x, volume = batch[0], 0.0
            for net in self.nets:
                scale, shift = net(x[:, :1]).chunk(2, 1)
                scale = torch.tanh(scale)
                x, volume = torch.cat([x[:, 1:] * scale.exp() + shift, x[:, :1]], 1), volume + scale.sum(1)
            return (0.5 * x.square().sum(1) - volume).mean() + 1.84

    angle = torch.rand(1280, 1) * 3.14
    x = torch.cat([3 * angle.cos(), 0.5 * angle.sin()], 1) + 0.1 * torch.randn(1280, 2)
    return Run(Net(), *loaders(Data(x[:1024], x[:1024], x[1024:], x[1024:])))


@program
def mixture_density_network() -> Run:
    class Net(HandWritten):
        optimizer = staticmethod(fast)

        def __init__(self):
            super().__init__()
            self.net = mlp(1, 32, 9, activation=nn.Tanh)

        def step(self, batch):
            x, y = batch
            weight, mean, log_std = self.net(x).chunk(3, 1)
            each = torch.distributions.Normal(mean, log_std.clamp(-4, 4).exp()).log_prob(y)
            return -(weight.log_softmax(1) + each).logsumexp(1).mean()

    y = torch.rand(1280, 1) * 2 - 1
    x = y + 0.3 * torch.sin(9 * y) + 0.05 * torch.randn_like(y)
    return Run(Net(), *loaders(Data(x[:1024], y[:1024], x[1024:], y[1024:])))
