"""Denoising diffusion; Ho et al. 2020, https://arxiv.org/abs/2006.11239."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

Batch = tuple[Tensor, Tensor]  # points (N, 2), and a label (N,), which is not used


class LitDiffusion(pl.LightningModule):
    """Learns to predict the noise that was mixed into a point; undoing it step by step turns noise into points.

    Args:
        num_steps: from a point to pure noise.
        width: units of the hidden layers.
        lr: learning rate of Adam at the start; it falls to 0.
    """

    kept: Tensor
    beta: Tensor

    def __init__(self, *, num_steps: int = 100, width: int = 128, lr: float = 0.002) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.num_steps, self.lr = num_steps, lr
        # In 1,000 steps the paper goes from 0.0001 to 0.02; fewer steps are larger.
        beta = torch.linspace(0.1 / num_steps, 20 / num_steps, num_steps).clamp(max=0.999)
        self.register_buffer("beta", beta)  # share of the variance that each step replaces by noise
        self.register_buffer("kept", (1 - beta).cumprod(0))  # share of the point's variance that is left
        self.step_embedding = nn.Embedding(num_steps, width)
        self.inlet = nn.Linear(2, width)
        self.layers = nn.Sequential(
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 2),
        )

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """The noise (N, 2) in noisy points x (N, 2) after so many steps (N,)."""
        return self.layers(self.inlet(x) + self.step_embedding(step))

    def loss(self, x: Tensor) -> Tensor:
        """Squared error of the predicted noise, at a random step for each point."""
        step = torch.randint(self.num_steps, (len(x),), device=x.device)
        noise = torch.randn_like(x)
        kept = self.kept[step][:, None]
        return F.mse_loss(self(kept.sqrt() * x + (1 - kept).sqrt() * noise, step), noise)

    @torch.no_grad()
    def sample(self, num_samples: int) -> Tensor:
        """Points (N, 2), the same for the same weights, without touching the training's random numbers.

        Every run shows some next to real ones (docs/pictures.md).
        """
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(num_samples, 2, generator=generator).to(self.beta)
        for step in reversed(range(self.num_steps)):
            noise = torch.randn(num_samples, 2, generator=generator).to(x) if step else 0.0
            beta, kept = self.beta[step], self.kept[step]
            predicted = self(x, torch.full((num_samples,), step, device=x.device))
            x = (x - beta / (1 - kept).sqrt() * predicted) / (1 - beta).sqrt() + beta.sqrt() * noise
        return x

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.loss(batch[0])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        distance = energy_distance(self.sample(len(batch[0])), batch[0])
        self.log_dict({"val/loss": self.loss(batch[0]), "val/energy_distance": distance}, sync_dist=True)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        distance = energy_distance(self.sample(len(batch[0])), batch[0])
        self.log_dict({"test/loss": self.loss(batch[0]), "test/energy_distance": distance}, sync_dist=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """As many points as the batch has, in columns point_0 and point_1."""
        return {"point": self.sample(len(batch[0]))}

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        optimizer = Adam(self.parameters(), lr=self.lr)
        return [optimizer], [CosineAnnealingLR(optimizer, T_max=self.trainer.max_epochs or 1)]


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """How different two sets of points (N, 2) and (M, 2) are distributed: 0 if equally (Szekely and Rizzo 2013)."""
    return 2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean()
