"""Contrastive learning without labels, and a linear layer on what was learned; SimCLR, Chen et al. 2020.

https://arxiv.org/abs/2002.05709
"""

from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.augment import random_affine
from lit_models.base import LitModel

Batch = tuple[Tensor, Tensor]  # images (N, 1, 28, 28), and labels (N,), by which nothing is learned


class LitContrastive(pl.LightningModule):
    """Two random views of an image get similar codes, those of different images different ones.

    Args:
        code_size: numbers by which the encoder describes an image.
        temperature: of the loss.
        lr: learning rate of Adam, which falls to 0 along a cosine.
    """

    def __init__(self, *, code_size: int = 128, temperature: float = 0.2, lr: float = 0.002) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.temperature, self.lr = temperature, lr
        self.encoder = make_encoder(code_size)
        # Codes are better if the loss compares a projection of them, which is not needed afterwards.
        self.projection = nn.Sequential(nn.Linear(code_size, code_size), nn.ReLU(), nn.Linear(code_size, 32))

    def forward(self, x: Tensor) -> Tensor:
        """The code (N, code_size) of each image."""
        return self.encoder(x)

    def loss(self, x: Tensor) -> Tensor:
        views = random_view(torch.cat([x, x]))
        return nt_xent(self.projection(self(views)), self.temperature)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.loss(batch[0])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.log_dict({f"val/{name}": value for name, value in self.figures(batch).items()}, sync_dist=True)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.log_dict({f"test/{name}": value for name, value in self.figures(batch).items()}, sync_dist=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        return {"code": self(batch[0])}

    def figures(self, batch: Batch) -> dict[str, Tensor]:
        """The loss, and how often the most similar image of the batch has the same label."""
        x, y = batch
        code = F.normalize(self(x), dim=1)
        nearest = (code @ code.T).fill_diagonal_(-1).argmax(1)
        return {"loss": self.loss(x), "neighbor_accuracy": (y[nearest] == y).float().mean()}

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        length = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, length)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class LitLinearProbe(LitModel):
    """A linear layer on the encoder of a `LitContrastive`, which `frozen: ["encoder.*"]` leaves as it is.

    Args:
        code_size: of the encoder.
    """

    def __init__(self, *, code_size: int = 128, **base: Any) -> None:
        super().__init__(**base)
        self.encoder = make_encoder(code_size)
        self.head = nn.Linear(code_size, self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (N, 1, 28, 28) into logits (N, K)."""
        return self.head(self.encoder(x))


def make_encoder(code_size: int) -> nn.Sequential:
    """Two convolutions that halve the image, and a linear layer: (N, 1, 28, 28) to (N, code_size)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, code_size),
        nn.ReLU(),
    )


def random_view(x: Tensor) -> Tensor:
    """Images (N, 1, 28, 28), each shifted, rotated, scaled and bent at random."""
    return random_affine(x, degrees=20, shift=3, scale=0.25, shear=0.3, elastic=1.0)


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    """The cross-entropy of finding each view's partner among all others by the cosine of their codes.

    Args:
        z: codes (2 N, D); rows n and N + n are views of the same image.
        temperature: by which cosines are divided.
    """
    z = F.normalize(z, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logits = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    partner = torch.arange(len(z), device=z.device).roll(len(z) // 2)
    return F.cross_entropy(logits, partner)
