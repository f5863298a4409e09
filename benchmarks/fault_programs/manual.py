"""Faults of manual optimization, several optimizers, GANs, autoencoders, accumulation and batches that are dicts."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fault_programs.base import HandWritten, Run, Supervised, fault, mlp
from benchmarks.fault_programs.data import Data, diabetes, digits, flat, loaders
from benchmarks.fault_programs.wiring import TwoParts


class Manual(TwoParts):
    """Digits with a training_step that steps its own optimizer, in micro-batches."""

    def __init__(self, clears: str = "before", micro: int = 1, scaled: bool = True) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.clears, self.micro, self.scaled = clears, micro, scaled

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        if self.clears == "before":
            optimizer.zero_grad()
        x, y = batch
        loss = torch.zeros(())
        for part, target in zip(x.chunk(self.micro), y.chunk(self.micro), strict=True):
            if self.clears == "each":
                optimizer.zero_grad()
            loss = self.step((part, target))
            self.manual_backward(loss / self.micro if self.scaled else loss)
        optimizer.step()
        self.log("train/loss", loss)
        return {"loss": loss.detach()}


@fault("gradients are not cleared")
def manual_without_zero_grad(faulty: bool) -> Run:
    """Manual optimization without optimizer.zero_grad()."""
    return Run(Manual("never" if faulty else "before"), *loaders(digits()))


@fault("accumulated gradients are thrown away")
def zero_grad_in_every_micro_batch(faulty: bool) -> Run:
    """zero_grad stands within the loop over micro-batches: only the last of eight counts."""
    return Run(Manual("each" if faulty else "before", micro=8), *loaders(digits()))


@fault("accumulation is not scaled", "learning rate far too high")
def accumulation_not_divided(faulty: bool) -> Run:
    """Losses of eight micro-batches are added and not averaged."""
    net = Manual(micro=8, scaled=not faulty)
    net.optimizer = lambda p: torch.optim.SGD(p, lr=0.1)
    return Run(net, *loaders(digits()))


@fault("weights that do not move")
def second_optimizer_never_stepped(faulty: bool) -> Run:
    """Body and head have an optimizer each, and training_step steps that of the head only."""

    class Net(TwoParts):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            body, head = self.optimizers()
            loss = self.step(batch)
            for optimizer in (body, head):
                optimizer.zero_grad()
            self.manual_backward(loss)
            for optimizer in (head,) if faulty else (body, head):
                optimizer.step()
            return {"loss": loss.detach()}

        def configure_optimizers(self):
            return [self.optimizer(self.body.parameters()), self.optimizer(self.head.parameters())]

    return Run(Net(), *loaders(digits()), optimizers=1 if faulty else 2)


@fault("frozen weights that move")
def frozen_after_the_first_steps(faulty: bool) -> Run:
    """The body is frozen after ten steps, its old gradients are kept, and momentum moves it on."""

    class Net(TwoParts):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)

        def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
            optimizer.zero_grad(set_to_none=not faulty)

        def on_train_batch_start(self, batch, batch_idx):
            if self.global_step == 10:
                self.body.requires_grad_(False)

    return Run(Net(), *loaders(digits()))


class GAN(HandWritten):
    """Learns the joint distribution of four features of a table from noise (N, 8)."""

    def __init__(self, faulty: str = "") -> None:
        super().__init__()
        self.generator, self.discriminator = mlp(8, 32, 4), mlp(4, 32, 1, activation=nn.LeakyReLU)
        self.automatic_optimization, self.faulty = False, faulty

    def verdict(self, x, real: float):
        out = self.discriminator(x)
        out = torch.sigmoid(out) if self.faulty == "sigmoid" else out
        return F.binary_cross_entropy_with_logits(out, torch.full_like(out, real))

    def training_step(self, batch, batch_idx):
        real = batch[0][:, 2:6]
        g, d = self.optimizers()
        fake = self.generator(torch.randn(len(real), 8))
        g.zero_grad()
        loss_g = self.verdict(fake.detach() if self.faulty == "detach" else fake, 1.0)
        self.manual_backward(loss_g)
        g.step()
        if self.faulty != "stale":
            d.zero_grad()
        loss_d = self.verdict(real, 1.0) + self.verdict(fake.detach(), 0.0)
        self.manual_backward(loss_d)
        d.step()
        self.log_dict({"train/g": loss_g, "train/d": loss_d})
        return {"loss": loss_d.detach()}

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        part = self.discriminator if self.faulty == "optimizer" else self.generator
        two_rates = ((part, 2e-3), (self.discriminator, 1e-2))
        return [torch.optim.Adam(net.parameters(), lr=rate, betas=(0.0, 0.99)) for net, rate in two_rates]


def spread(module) -> bool:
    """Whether what the generator makes has spread to about where the data are, whose deviation is 1."""
    with torch.no_grad():
        fake = module.generator(torch.randn(1000, 8))
    return bool(fake.mean(0).abs().mean() < 0.8 and 0.5 < fake.std(0).mean() < 1.6)


def gan(name: str, doc: str, faulty: str, *kinds: str) -> None:
    def build(with_fault: bool) -> Run:
        net = GAN(faulty if with_fault else "")
        return Run(net, *loaders(diabetes(), 16), epochs=5, optimizers=2, learned=spread)

    build.__name__, build.__doc__ = name, doc
    fault(*kinds)(build)


CUT = ("cut off from the loss", "no gradient", "weights that do not move")
gan(
    "gan_with_stale_gradients",
    "The discriminator keeps what the generator's backward left in it.",
    "stale",
    "gradients are not cleared",
)
gan("gan_generator_detached", "The generator's loss is computed on fake.detach().", "detach", *CUT)
gan(
    "gan_two_optimizers_of_one_network",
    "Both optimizers get the discriminator's parameters.",
    "optimizer",
    "parameters missing from the optimizer",
    "weights that do not move",
)
gan(
    "gan_sigmoid_before_bce_with_logits",
    "The discriminator ends with a sigmoid, and the loss takes logits.",
    "sigmoid",
    "sigmoid before BCE with logits",
)


@fault("output cannot reach the targets")
def autoencoder_with_sigmoid_output(faulty: bool) -> Run:
    """An autoencoder ends with a sigmoid, and its standardized pixels reach from -0.8 to 1.9."""
    net = nn.Sequential(mlp(64, 32, 8), nn.ReLU(), mlp(8, 32, 64))
    if faulty:
        net.append(nn.Sigmoid())
    x, _, x_val, _ = flat(digits())
    return Run(Supervised(net, F.mse_loss), *loaders(Data(x, x, x_val, x_val)))


class VAE(HandWritten):
    """A variational autoencoder of digits with eight latents."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.encoder, self.decoder, self.weight = mlp(64, 64, 16), mlp(8, 64, 64), weight

    def step(self, batch):
        x = batch[0].flatten(1)
        mean, log_var = self.encoder(x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(1).mean()
        return (self.decoder(z) - x).square().sum(1).mean() / 64 + self.weight * kl


@fault("latents carry nothing", "no better than a constant answer", "inputs make no difference")
def vae_whose_latents_collapse(faulty: bool) -> Run:
    """The reconstruction is a mean over pixels and the KL divergence a sum over latents: the latents carry nothing."""
    return Run(VAE(1.0 if faulty else 1 / 64), *loaders(digits()))


@fault("cut off from the loss", "no gradient", "parameters missing from the optimizer")
def vae_sampled_without_reparametrization(faulty: bool) -> Run:
    """The latent is drawn with Normal.sample(), not rsample(), and the encoder learns from the KL divergence alone."""

    class Net(VAE):
        def step(self, batch):
            x = batch[0].flatten(1)
            mean, log_var = self.encoder(x).chunk(2, 1)
            normal = torch.distributions.Normal(mean, (0.5 * log_var).exp())
            z = normal.sample() if faulty else normal.rsample()
            return F.mse_loss(self.decoder(z), x)

    return Run(Net(0.0), *loaders(digits()))


@fault("unused layers", "inputs that cannot matter", "cut off from the loss")
def one_of_two_inputs_not_used(faulty: bool) -> Run:
    """A dict batch has an image and the row above it; forward encodes the first twice."""

    class Pairs(torch.utils.data.Dataset):
        def __init__(self, x, y):
            self.x, self.y = x, y

        def __len__(self):
            return len(self.x)

        def __getitem__(self, i):
            return {"upper": self.x[i, :, :4], "lower": self.x[i, :, 4:], "label": self.y[i]}

    class Net(HandWritten):
        def __init__(self):
            super().__init__()
            self.upper, self.lower, self.out = mlp(32, 32, 16), mlp(32, 32, 16), nn.Linear(32, 10)

        def step(self, batch):
            upper = self.upper(batch["upper"].flatten(1))
            lower = self.upper(batch["upper"].flatten(1)) if faulty else self.lower(batch["lower"].flatten(1))
            return F.cross_entropy(self.out(torch.cat([upper, lower], 1).relu()), batch["label"])

    data = digits()
    train = torch.utils.data.DataLoader(Pairs(data.x, data.y), 32, shuffle=True)
    return Run(Net(), train, torch.utils.data.DataLoader(Pairs(data.x_val, data.y_val), 256))
