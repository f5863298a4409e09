"""Random warps of a whole batch of images at once, with different parameters for each image.

The letters after a tensor's name are its dimensions: N images, C channels, H rows, W columns.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

ELASTIC_POINTS = 5  # control points per side of the lattice from which the elastic field is interpolated


def random_affine(
    x_nchw: Tensor,
    *,
    degrees: float = 0.0,
    shift: float = 0.0,
    scale: float = 0.0,
    shear: float = 0.0,
    elastic: float = 0.0,
) -> Tensor:
    """Rotate, scale, shear, shift and bend each square image at random.

    Args:
        x_nchw: floating-point images; outside an image, its border pixels are repeated.
        degrees: the angle is uniform on +-degrees.
        shift: along each axis, uniform on +-shift pixels.
        scale: along each axis, the factor is uniform on 1 +- scale.
        shear: the tangent of the shear angle is uniform on +-shear.
        elastic: deviation, in pixels, of a smooth random displacement
            (Simard et al. 2003, https://doi.org/10.1109/ICDAR.2003.1227801, here on a coarse lattice).
    """
    num_images, _, height, width = x_nchw.shape
    u_n6 = torch.rand(num_images, 6, device=x_nchw.device) * 2 - 1
    theta_n23 = affine_maps(
        degrees_n=u_n6[:, 0] * degrees,
        scale_n2=1 + u_n6[:, 1:3] * scale,
        shear_n=u_n6[:, 3] * shear,
        shift_n2=u_n6[:, 4:6] * shift,
        side=width,
    )
    grid_nhw2 = F.affine_grid(theta_n23, [num_images, 1, height, width], align_corners=False)
    if elastic > 0:
        points_n2pp = torch.randn(num_images, 2, ELASTIC_POINTS, ELASTIC_POINTS, device=x_nchw.device)
        field_n2hw = F.interpolate(points_n2pp, (height, width), mode="bicubic", align_corners=True)
        grid_nhw2 = grid_nhw2 + field_n2hw.permute(0, 2, 3, 1) * (2 * elastic / width)
    return F.grid_sample(x_nchw, grid_nhw2.to(x_nchw.dtype), padding_mode="border", align_corners=False)


def affine_maps(
    *, degrees_n: Tensor, scale_n2: Tensor, shear_n: Tensor, shift_n2: Tensor, side: int
) -> Tensor:
    """Matrices (N, 2, 3) for `affine_grid`, which expects the map from the new image to the old one.

    Args:
        degrees_n: counterclockwise.
        scale_n2: factors along x and y; 2 makes the contents twice as large.
        shear_n: pixels to the left per pixel downward.
        shift_n2: pixels to the right and down.
        side: of the image, in pixels.
    """
    angle_n = torch.deg2rad(degrees_n)
    cos_n, sin_n = angle_n.cos(), angle_n.sin()
    inverse_n2 = 1 / scale_n2
    offset_n2 = -2 * shift_n2 / side  # the image spans -1 to 1
    row_x_n3 = torch.stack(
        [cos_n * inverse_n2[:, 0], (cos_n * shear_n - sin_n) * inverse_n2[:, 1], offset_n2[:, 0]], dim=1
    )
    row_y_n3 = torch.stack(
        [sin_n * inverse_n2[:, 0], (sin_n * shear_n + cos_n) * inverse_n2[:, 1], offset_n2[:, 1]], dim=1
    )
    return torch.stack([row_x_n3, row_y_n3], dim=1)
