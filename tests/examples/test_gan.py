"""The steps of generator and discriminator, and the figures that judge the points."""

import pytest
import torch
import torch.nn.functional as F

from examples.gan.data import DEVIATION, centers, draw_points
from examples.gan.model import LitGAN


def test_real_points_have_the_figures_that_they_should_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 3 deviations lie 1 - exp(-9 / 2) = 0.9889 of a normal distribution in the plane."""
    model = LitGAN()
    points, _ = draw_points(20_000, torch.Generator().manual_seed(3))
    monkeypatch.setattr(model, "sample", lambda num_samples: points)
    figures = model.figures(len(points))
    assert float(figures["quality"]) == pytest.approx(0.9889, abs=0.003)
    assert figures["clouds"] == 8


def test_one_cloud_is_called_one_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LitGAN()
    points = centers()[3] + DEVIATION * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(model, "sample", lambda num_samples: points)
    assert model.figures(500)["clouds"] == 1


def test_the_discriminator_has_the_cross_entropy_and_its_gradient() -> None:
    torch.manual_seed(0)
    model = LitGAN()
    real, fake = torch.randn(32, 2), torch.randn(32, 2)
    loss, slope = model.discriminator_loss(real.clone(), fake)
    logits = model.discriminator(torch.cat([real, fake])).flatten()
    labels = torch.cat([torch.ones(32), torch.zeros(32)])
    expected = 2 * F.binary_cross_entropy_with_logits(logits, labels)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    jacobian = torch.func.vmap(torch.func.grad(lambda point: model.discriminator(point).squeeze()))(real)
    assert float(slope) == pytest.approx(float(jacobian.square().sum(1).mean()), rel=1e-4)
