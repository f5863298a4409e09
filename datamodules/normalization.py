"""Means and deviations in the training split: of each column of a table, of each channel of images."""

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

FAR = 100.0  # deviations from the mean; normal numbers do not get beyond 6


def input_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of inputs (N, ..., F), each (F,), or of images (N, C, H, W), each (C, 1, 1); in float64."""
    channels_last = x.movedim(1, -1) if is_image(x) else x
    columns = channels_last.flatten(end_dim=-2).double()
    shape = (-1, *[1] * (x.ndim - 2)) if is_image(x) else (-1,)
    return columns.mean(0).reshape(shape), columns.std(0, correction=0).reshape(shape)


def is_image(x: Tensor) -> bool:
    """Whether inputs are (N, C, H, W), or (N, C, D, H, W): the second dimension is the one with a meaning of its own."""
    return x.ndim >= 4


def may_be_ids(x: Tensor) -> bool:
    """Whether inputs are integers that may be names, such as token ids, and not pixels or yes and no."""
    return not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool or is_image(x))


def report_scaled_integers(x: Tensor, name: str) -> None:
    """Say that integers are taken for quantities.

    Args:
        x: the inputs of the training split.
        name: of the data module.
    """
    if may_be_ids(x):
        rank_zero_warn(
            f"the inputs of {name} are integers, and data.normalize scales them to mean 0 and deviation 1 as quantities; "
            "if they are token ids or other names, give data.normalize false, else let `load` return x.float()"
        )


def report_tiny_deviations(x: Tensor, mean: Tensor, std: Tensor) -> None:
    """Say that normalization makes some inputs very large, because they hardly ever differ from their mean.

    Args:
        x: the inputs of the training split, with what `input_statistics` returns for them.
        mean, std: see there.
    """
    others = [dim for dim in range(x.ndim) if dim != (1 if is_image(x) else x.ndim - 1)]
    high, low = x.amax(others).double() - mean.flatten(), mean.flatten() - x.amin(others).double()
    reach = torch.where(std.flatten() > 0, torch.maximum(high, low) / nonzero(std).flatten(), 0.0)
    if far := int((reach > FAR).sum()):
        worst = int(reach.argmax())
        kind = "channels" if is_image(x) else "columns"
        rank_zero_warn(
            f"after normalization, {far} of {len(reach)} input {kind} reach more than {FAR:.0f} deviations from their "
            f"mean, most of all number {worst}, whose deviation in the training split is {std.flatten()[worst]:.2g}: it "
            f"reaches {reach[worst]:.0f}; leave such {kind} out, or scale them in `load`"
        )


def nonzero(std: Tensor) -> Tensor:
    """A constant column has deviation 0; dividing it by 1 leaves it at 0 after centering."""
    return torch.where(std > 0, std, torch.ones_like(std))


def by_output(target: Tensor, out_features: int) -> Tensor:
    """A target with a column for each output that has a unit of its own: (N, K); of (N, H, K), for H steps, (N * H, K).

    All numbers of another target, such as a value for each pixel (N, H, W), are in one unit: (N * H * W,).
    """
    num_columns = target.shape[-1] if target.ndim > 1 else 1
    if num_columns > 1 and (target.ndim == 2 or out_features % num_columns == 0):
        return target.reshape(-1, num_columns)
    return target.flatten()
