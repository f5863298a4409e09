"""A module and data as other people write them: two optimizers, own names of metrics, no validation."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Points(pl.LightningDataModule):
    """96 points (2,) on a circle."""

    def train_dataloader(self) -> DataLoader:
        angle = torch.linspace(0, 6.28, 96)
        return DataLoader(TensorDataset(torch.stack([angle.cos(), angle.sin()], dim=1)), batch_size=16)


class Gan(pl.LightningModule):
    """Generator and discriminator, stepped by hand; logs `loss_g` and `train_loss`."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        (real,) = batch
        first, second = self.optimizers()
        logits = self.discriminator(self.generator(torch.randn_like(real)))
        loss = nn.functional.softplus(-logits).mean()
        first.zero_grad()
        self.manual_backward(loss)
        first.step()
        fake = self.generator(torch.randn_like(real)).detach()
        other = nn.functional.softplus(self.discriminator(fake)) + nn.functional.softplus(
            -self.discriminator(real)
        )
        second.zero_grad()
        self.manual_backward(other.mean())
        second.step()
        self.log_dict({"loss_g": loss, "train_loss": other.mean()})

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(part.parameters()) for part in (self.generator, self.discriminator)]
