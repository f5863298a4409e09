"""Autoencoder, dense or convolutional, and the search for nearest neighbors among its codes."""

import itertools
from collections.abc import Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lit_models.base import LitModel, Metrics
from lit_models.layers import ActivationName, InitName, initialize, new_activation
from lit_models.metrics import update_metrics


class LitAutoencoder(LitModel):
    """Compresses an image into a short code and restores it (Hinton and Salakhutdinov 2006).

    The task is always reconstruction. `out_features` and the labels of the data are used only to measure how often
    the nearest neighbors of a code have the same label (`neighbor_agreement` of an evaluation).

    Args:
        code_size: numbers per code.
        channels: of the convolutional blocks, each of which halves the image; empty for a dense autoencoder.
        hidden_sizes: units of the dense layers between image (or last block) and code.
        activation: between layers; the code itself is linear.
        sigmoid_output: restore pixels through a sigmoid; suits pixels between 0 and 1.
        init: of the weights, see `initialize`.
    """

    def __init__(
        self,
        *,
        code_size: int = 50,
        channels: Sequence[int] = (),
        hidden_sizes: Sequence[int] = (),
        activation: ActivationName = "relu",
        sigmoid_output: bool = True,
        init: InitName = "default",
        **base: Any,
    ) -> None:
        base["task"] = "reconstruction"
        super().__init__(**base)
        in_channels, height, width = self.require_shape("images", "C H W")
        shrink = 2 ** len(channels)
        if height % shrink or width % shrink:
            raise ValueError(
                f"{len(channels)} blocks cannot halve a {height} x {width} image; use fewer channels"
            )
        block_channels = [in_channels, *channels]
        block_shape = (block_channels[-1], height // shrink, width // shrink)
        sizes = [prod(block_shape), *hidden_sizes, code_size]

        encoder: list[nn.Module] = []
        for fan_in, fan_out in zip(block_channels, channels, strict=False):
            encoder += [nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1), new_activation(activation)]
        encoder.append(nn.Flatten())
        for fan_in, fan_out in itertools.pairwise(sizes):
            encoder += [nn.Linear(fan_in, fan_out), new_activation(activation)]
        self.encoder = nn.Sequential(*encoder[:-1])

        decoder: list[nn.Module] = []
        for fan_out, fan_in in reversed(list(itertools.pairwise(sizes))):
            decoder += [nn.Linear(fan_in, fan_out), new_activation(activation)]
        decoder.insert(-1, nn.Unflatten(1, block_shape))
        for fan_out, fan_in in reversed(list(zip(block_channels, channels, strict=False))):
            decoder += [
                nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1),
                new_activation(activation),
            ]
        decoder[-1] = nn.Sigmoid() if sigmoid_output else nn.Identity()
        self.decoder = nn.Sequential(*decoder)
        initialize(self, init)

        self.val_metrics["neighbor_agreement"] = NeighborAgreement()
        self.test_metrics["neighbor_agreement"] = NeighborAgreement()

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (N, C, H, W) into their reconstructions (N, C, H, W)."""
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> Tensor:
        """Turn images (N, C, H, W) into codes (N, code_size)."""
        return self.encoder(x)

    def decode(self, code: Tensor) -> Tensor:
        """Turn codes (N, code_size) into images (N, C, H, W)."""
        return self.decoder(code)

    def target(self, x: Tensor, y: Tensor) -> Tensor:
        return x

    def update_metrics(self, metrics: Metrics, batch: Any) -> None:
        (x,), y, weight = self.unpack(batch)
        code = self.encode(x)
        image, truth = self.decode(code).float(), x.float()
        loss, total = self.task.mean_and_weight(image, truth, weight)
        metrics["loss"].update(loss, weight=total)
        metrics["mse"].update(image.flatten(), truth.flatten())
        metrics["neighbor_agreement"].update(code, y)
        others = {name: each for name, each in metrics.items() if name not in ("mse", "neighbor_agreement")}
        update_metrics(others, self.task, image, truth)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Columns of predictions.csv: the error of each reconstruction (N,) and its code (N, code_size)."""
        x = batch[0]
        code = self.encode(x)
        error = (self.decode(code) - x).float().pow(2).flatten(1).mean(1)
        return {"mse": error, "code": code.float()}


def nearest_neighbors(
    queries: Tensor, codes: Tensor, k: int, chunk_size: int = 1024
) -> tuple[Tensor, Tensor]:
    """The k codes with the largest cosine to each query.

    Args:
        queries: (Q, D).
        codes: (N, D).
        k: at most N.
        chunk_size: queries per matrix product; it limits the memory to chunk_size * N numbers.

    Returns:
        cosines (Q, k), largest first, and the rows (Q, k) of `codes` that they belong to.

    Raises:
        ValueError: if there are fewer than k codes.
    """
    if k > len(codes):
        raise ValueError(f"{k} neighbors were asked for among {len(codes)} codes; ask for fewer")
    directions = F.normalize(codes, dim=1).T
    found = [(F.normalize(chunk, dim=1) @ directions).topk(k) for chunk in queries.split(chunk_size)]
    return torch.cat([top.values for top in found]), torch.cat([top.indices for top in found])


class NeighborAgreement(Metric):
    """Share of a code's `k` nearest neighbors by cosine, without the code itself, that have the same label."""

    codes: list[Tensor]
    labels: list[Tensor]

    def __init__(self, k: int = 5) -> None:
        super().__init__()
        self.k = k
        self.add_state("codes", default=[], dist_reduce_fx="cat")
        self.add_state("labels", default=[], dist_reduce_fx="cat")

    def update(self, code: Tensor, label: Tensor) -> None:
        """Add codes (N, D) and labels (N,)."""
        self.codes.append(code.float())
        self.labels.append(label)

    def compute(self) -> Tensor:
        """A number from 0 to 1."""
        codes, labels = dim_zero_cat(self.codes), dim_zero_cat(self.labels)
        k = min(self.k, len(codes) - 1)  # a sanity check or debugging run may have only a few samples
        if k < 1:
            return torch.tensor(float("nan"), device=labels.device)
        rows = nearest_neighbors(codes, codes, k + 1)[1]
        is_other = rows != torch.arange(len(codes), device=rows.device)[:, None]
        # If codes are identical, another one may come before the query itself: then leave out the last neighbor.
        is_other &= is_other.cumsum(1) <= k
        return (labels[rows] == labels[:, None])[is_other].float().mean()
