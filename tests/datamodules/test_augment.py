"""The warps agree with torchvision and with shifts made by hand."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import affine

from datamodules.augment import affine_maps, random_affine

SIDE = 28


def images(num_images=1):
    """A patch of noise on black, (N, 1, 28, 28), far enough from the border to be shifted."""
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(num_images, 1, SIDE, SIDE)
    x[:, :, 10:18, 8:19] = torch.rand(num_images, 1, 8, 11, generator=generator)
    return x


def warp(x, degrees=0.0, scale=(1.0, 1.0), shear=0.0, shift=(0.0, 0.0)):
    theta = affine_maps(
        degrees_n=torch.tensor([degrees]),
        scale_n2=torch.tensor([scale]),
        shear_n=torch.tensor([shear]),
        shift_n2=torch.tensor([shift]),
        side=SIDE,
    )
    return F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)


@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (0, -2), (-4, 5)])
def test_whole_pixels_are_shifted_right_and_down(shift):
    expected = images().roll((shift[1], shift[0]), dims=(2, 3))
    torch.testing.assert_close(warp(images(), shift=shift), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_counter_clockwise(quarters):
    expected = torch.rot90(images(), quarters, dims=(2, 3))
    torch.testing.assert_close(warp(images(), degrees=90.0 * quarters), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("degrees", "scale"), [(20.0, 1.0), (-33.0, 1.0), (0.0, 1.4), (15.0, 0.8)])
def test_turning_and_scaling_agree_with_torchvision(degrees, scale):
    expected = affine(
        images(),
        angle=-degrees,
        translate=[0, 0],
        scale=scale,
        shear=[0.0],
        interpolation=InterpolationMode.BILINEAR,
    )
    torch.testing.assert_close(
        warp(images(), degrees=degrees, scale=(scale, scale)), expected, atol=1e-4, rtol=0
    )


def test_axes_are_scaled_on_their_own():
    wide = warp(images(), scale=(2.0, 1.0))[0, 0]
    assert (wide.amax(0) > 0).sum() > 1.8 * (images()[0, 0].amax(0) > 0).sum()
    assert (wide.amax(1) > 0).sum() == (images()[0, 0].amax(1) > 0).sum()


def test_shear_moves_each_row_left_by_its_distance_below_the_center():
    x = torch.zeros(1, 1, SIDE, SIDE)
    x[0, 0, :, 14] = 1.0
    column = warp(x, shear=0.5)[0, 0].mul(torch.arange(float(SIDE))).sum(1)
    rows_below_center = torch.arange(SIDE) - 13.5
    torch.testing.assert_close(column, 14 - 0.5 * rows_below_center, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["degrees", "shift", "scale", "shear", "elastic"])
def test_each_image_is_warped_in_its_own_way(name):
    torch.manual_seed(0)
    amount = {"degrees": 20.0, "shift": 3.0, "scale": 0.3, "shear": 0.3, "elastic": 1.0}[name]
    same = images().expand(8, -1, -1, -1)
    warped = random_affine(same, **{name: amount})
    assert warped.shape == same.shape
    assert len(warped.flatten(1).unique(dim=0)) == 8
    assert warped.min() >= 0
    assert warped.max() <= 1 + 1e-6


def test_without_amounts_nothing_changes():
    torch.testing.assert_close(random_affine(images(3)), images(3), atol=1e-5, rtol=0)


def test_shifts_stay_within_the_given_pixels():
    torch.manual_seed(0)
    x = torch.zeros(500, 1, SIDE, SIDE)
    x[:, :, 14, 14] = 1.0
    warped = random_affine(x, shift=2.0)
    across = warped.sum((1, 2)).mul(torch.arange(float(SIDE))).sum(1) - 14
    assert across.abs().max() <= 2 + 1e-4
    assert across.abs().max() > 1.9
    assert abs(across.mean()) < 0.2


def test_the_warp_follows_the_global_seed():
    torch.manual_seed(3)
    first = random_affine(images(4), degrees=10, elastic=1.0)
    torch.manual_seed(3)
    assert torch.equal(random_affine(images(4), degrees=10, elastic=1.0), first)
    assert not torch.equal(random_affine(images(4), degrees=10, elastic=1.0), first)
