"""Generative adversarial network; Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler

from examples.gan.data import DEVIATION, NUM_CLOUDS, centers

Batch = tuple[Tensor, Tensor]  # points (N, 2), and the number of their cloud (N,), which is not used


class LitGAN(pl.LightningModule):
    """A generator and a discriminator, each with an optimizer of its own, so the step calls them itself.

    A penalty on the discriminator's gradient at the real points keeps the two from circling around each other
    (Mescheder et al. 2018, https://arxiv.org/abs/1801.04406).

    Args:
        latent_size: random numbers from which the generator makes a point.
        width: units of the hidden layers.
        penalty: weight of the gradient penalty.
        lr: learning rate of both optimizers at the start; it falls to a hundredth.
    """

    def __init__(
        self, *, latent_size: int = 8, width: int = 64, penalty: float = 0.005, lr: float = 0.003
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.latent_size, self.penalty, self.lr = latent_size, penalty, lr
        self.generator = mlp(latent_size, width, 2)
        self.discriminator = mlp(2, width, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Turn random numbers (N, latent_size) into points (N, 2)."""
        return self.generator(z)

    def sample(self, num_samples: int) -> Tensor:
        """The same points (N, 2) for the same weights, without touching the training's random numbers."""
        generator = torch.Generator().manual_seed(0)
        return self(torch.randn(num_samples, self.latent_size, generator=generator).to(self.device))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        real, _ = batch
        for_generator, for_discriminator = self.optimizers()
        noise = torch.randn(len(real), self.latent_size, device=real.device, dtype=real.dtype)
        fake = self(noise)

        self.toggle_optimizer(for_discriminator)
        loss, slope = self.discriminator_loss(real, fake.detach())
        for_discriminator.zero_grad()
        self.manual_backward(loss + self.penalty * slope)
        for_discriminator.step()
        self.untoggle_optimizer(for_discriminator)

        self.toggle_optimizer(for_generator)
        generator_loss = F.softplus(-self.discriminator(fake)).mean()
        for_generator.zero_grad()
        self.manual_backward(generator_loss)
        for_generator.step()
        self.untoggle_optimizer(for_generator)

        self.log_dict({"train/generator_loss": generator_loss, "train/discriminator_loss": loss})

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The cross-entropy of telling real from fake points, and the mean squared gradient at the real ones."""
        real = real.requires_grad_()
        logits = self.discriminator(real)
        loss = F.softplus(-logits).mean() + F.softplus(self.discriminator(fake)).mean()
        (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        return loss, gradient.square().sum(1).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        figures = self.figures(len(batch[0]))
        self.log_dict({f"val/{name}": value for name, value in figures.items()}, sync_dist=True)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        figures = self.figures(len(batch[0]))
        self.log_dict({f"test/{name}": value for name, value in figures.items()}, sync_dist=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """As many points as the batch has, in columns point_0 and point_1."""
        return {"point": self.sample(len(batch[0]))}

    def figures(self, num_points: int) -> dict[str, Tensor]:
        """Share of the points within 3 deviations of a cloud's center (real points: 0.989), and clouds reached."""
        distance, nearest = torch.cdist(self.sample(num_points), centers().to(self.device)).min(1)
        good = distance < 3 * DEVIATION
        found = torch.bincount(nearest[good], minlength=NUM_CLOUDS)
        at_least = num_points / NUM_CLOUDS / 4  # a quarter of a cloud's share
        return {"quality": good.float().mean(), "clouds": (found >= at_least).float().sum()}

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        parts = (self.generator, self.discriminator)
        optimizers: list[Optimizer] = [
            Adam(part.parameters(), lr=self.lr, betas=(0.5, 0.99)) for part in parts
        ]
        epochs = self.trainer.max_epochs or 1
        return optimizers, [LinearLR(each, 1.0, 0.01, total_iters=epochs) for each in optimizers]

    def on_train_epoch_end(self) -> None:
        """With manual optimization the schedules are ours to step, too."""
        for schedule in self.lr_schedulers():
            schedule.step()


def mlp(num_inputs: int, width: int, num_outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(num_inputs, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, num_outputs),
    )
