"""Noise that is mixed in and removed, and the distance between two sets of points."""

import pytest
import torch
from scipy.stats import energy_distance as of_scipy

from examples.diffusion.data import MoonsDataModule
from examples.diffusion.model import LitDiffusion, energy_distance


def test_the_distance_is_that_of_scipy() -> None:
    """On a line, where SciPy has it: its square."""
    x, y = (torch.randn(n, 2, generator=torch.Generator().manual_seed(n)) for n in (60, 80))
    x[:, 1] = y[:, 1] = 0
    expected = of_scipy(x[:, 0], 1 + y[:, 0]) ** 2
    assert float(energy_distance(x, y + torch.tensor([1.0, 0.0]))) == pytest.approx(expected, rel=1e-4)


def test_a_network_that_knows_the_noise_gives_the_point_back() -> None:
    """All points are one point, so the noise in x is known, and sampling must end at the point."""
    model, point = LitDiffusion(), torch.tensor([0.7, -0.3])

    def noise_in(x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        kept = model.kept[step][:, None]
        return (x - kept.sqrt() * point) / (1 - kept).sqrt()

    model.forward = noise_in
    assert torch.allclose(model.sample(50), point.expand(50, 2), atol=1e-5)


def test_after_the_last_step_hardly_anything_is_left_of_a_point() -> None:
    assert 0 < float(LitDiffusion().kept[-1]) < 1e-4


def test_the_splits_share_no_point() -> None:
    splits = MoonsDataModule(num_points=500).load()
    points = torch.cat([splits[name][0] for name in ("train", "val", "test")])
    assert len(points.unique(dim=0)) == 4500
