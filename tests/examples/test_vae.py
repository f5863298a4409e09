"""The two terms of the loss, compared with torch's own distributions."""

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from examples.vae.model import LitVAE


def test_the_loss_is_the_negative_evidence_lower_bound() -> None:
    torch.manual_seed(0)
    model = LitVAE()
    x = torch.rand(16, 1, 28, 28).round()
    mean, log_variance = model.encoder(x).chunk(2, dim=1)
    code = Normal(mean, (log_variance / 2).exp())
    torch.manual_seed(1)
    losses = model.losses(x)
    torch.manual_seed(1)
    z = mean + torch.randn_like(mean) * code.scale
    reconstruction = -Bernoulli(logits=model.decoder(z)).log_prob(x).sum((1, 2, 3)).mean()
    divergence = kl_divergence(code, Normal(0, 1)).sum(1).mean()
    assert float(losses["reconstruction"]) == pytest.approx(float(reconstruction), rel=1e-5)
    assert float(losses["divergence"]) == pytest.approx(float(divergence), rel=1e-4)
    assert float(losses["loss"]) == pytest.approx(float(reconstruction + divergence), rel=1e-5)
