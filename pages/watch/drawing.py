"""A digit drawn with the mouse, made as the digits of MNIST were made."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BOX = 20 / 28  # of the side: the larger side of a digit


def as_written(page: Tensor) -> Tensor:
    """Scale the ink to 20 of 28 pixels, and put its center of mass into the middle, as MNIST does.

    LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist: "size normalized to fit in a 20x20 pixel box while
    preserving their aspect ratio [...] centered in a 28x28 image by computing the center of mass of the pixels".

    Args:
        page: (H, W), from 0 (paper) to 1 (ink).

    Returns:
        (H, W); an empty page stays empty.
    """
    rows, columns = (page > 0.1).any(1).nonzero().flatten(), (page > 0.1).any(0).nonzero().flatten()
    if not len(rows):
        return torch.zeros_like(page)
    digit = page[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    factor = BOX * min(page.shape) / max(digit.shape)
    size = [max(1, round(side * factor)) for side in digit.shape]
    digit = F.interpolate(digit[None, None], size=size, mode="bilinear", align_corners=False, antialias=True)[
        0, 0
    ]
    mass = digit.sum()
    places = []
    for axis in range(2):
        place = torch.arange(digit.shape[axis], dtype=digit.dtype)
        center = float((digit.sum(1 - axis) * place).sum() / mass)
        first = round((page.shape[axis] - 1) / 2 - center)
        places.append(max(0, min(first, page.shape[axis] - digit.shape[axis])))
    written = torch.zeros_like(page)
    written[places[0] : places[0] + digit.shape[0], places[1] : places[1] + digit.shape[1]] = digit
    return written.clamp(0, 1)
