"""Variational autoencoder; Kingma and Welling 2014, https://arxiv.org/abs/1312.6114."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]  # images (N, 1, 28, 28) between 0 and 1, and labels (N,), which are not used


class LitVAE(pl.LightningModule):
    """A plain LightningModule: the loss has two terms and is none of the template's tasks.

    Its `encode`, `decode` and `sample` are what the pictures need (docs/pictures.md).

    Args:
        latent_size: numbers per image; with 2, the plane of all images is drawn.
        hidden_size: units of the hidden layers.
        lr: learning rate of Adam.
    """

    def __init__(self, *, latent_size: int = 2, hidden_size: int = 256, lr: float = 0.002) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.latent_size = latent_size
        self.lr = lr
        self.encoder = nn.Sequential(
            nn.Flatten(),
            nn.Linear(28 * 28, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, 2 * latent_size),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_size, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, 28 * 28),
            nn.Unflatten(1, (1, 28, 28)),
        )

    def encode(self, x: Tensor) -> Tensor:
        """The mean (N, latent_size) of the distribution of each image's code."""
        return self.encoder(x).chunk(2, dim=1)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Images (N, 1, 28, 28) of codes (N, latent_size)."""
        return self.decoder(z).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def sample(self, num_samples: int) -> Tensor:
        """New images (N, 1, 28, 28): those of random codes."""
        return self.decode(torch.randn(num_samples, self.latent_size, device=self.device))

    def losses(self, x: Tensor) -> dict[str, Tensor]:
        """The negative evidence lower bound, in nats per image, and its two terms."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") / len(x)
        divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        return {
            "loss": reconstruction + divergence,
            "reconstruction": reconstruction,
            "divergence": divergence,
        }

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        losses = self.losses(batch[0])
        self.log_dict({f"train/{name}": value for name, value in losses.items()})
        return losses["loss"]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        losses = self.losses(batch[0])
        self.log_dict({f"val/{name}": value for name, value in losses.items()}, sync_dist=True)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        losses = self.losses(batch[0])
        self.log_dict({f"test/{name}": value for name, value in losses.items()}, sync_dist=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The code of each image: columns z_0, z_1, ..."""
        return {"z": self.encode(batch[0])}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)
