"""Sequences of tokens: how probable the network finds each true one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.images import show
from callbacks.pictures.network import array, class_name
from callbacks.pictures.style import SEQUENTIAL, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_ROWS = 8
MOST_LETTERS = 100  # in a row of the picture


class Tokens(Picture):
    """`fit/tokens`: the true tokens of some sequences, each colored by the probability that the network gave it.

    For a class for each token, targets (N, T) and logits (N, T, K) or (N, K, T), also of data that do not name their
    task. Tokens of a negative class have no label. The data module's `class_names` are the words.
    """

    how_to_read: ClassVar = {
        "fit/tokens": "Each cell is a true token, and its color how probable the network found it: dark ones "
        "surprised it. Where several tokens could follow, even a perfect network is unsure.",
    }
    needs_batch = False  # without one nothing is drawn, and nothing needs to be said

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return spec_of(data).task in ("", "multiclass")

    def suits_batch(self, data: Any, batch: Any) -> bool:
        parts = batch[:2] if isinstance(batch, list | tuple) else ()
        if len(parts) < 2 or not all(isinstance(part, Tensor) for part in parts):
            return False
        y = parts[1]
        return y.ndim == 2 and y.shape[1] > 1 and not y.is_floating_point()

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y = batch[0][:NUM_ROWS], batch[1][:NUM_ROWS]
        probability = probability_of(pl_module(x), y, spec_of(data).out_features)
        if probability is not None:
            words = [[class_name(data, token) if token >= 0 else "" for token in row] for row in y.tolist()]
            yield "fit/tokens", draw_tokens(probability, words)


def probability_of(output: Any, y: Tensor, num_classes: int) -> np.ndarray | None:
    """The probability of each true token y (N, T), NaN where there is none; None if the output is something else.

    Args:
        output: logits (N, T, K) or (N, K, T).
        y: see above.
        num_classes: K, if it is known; it decides where both would fit.
    """
    if not isinstance(output, Tensor) or output.ndim != 3 or len(output) != len(y):
        return None
    length = y.shape[1]
    if output.shape[2] == length and num_classes in (output.shape[1], 1):
        output = output.movedim(1, 2)
    if output.shape[1] != length or int(y.max()) >= output.shape[2]:
        return None
    probability = output.double().softmax(-1).gather(-1, y.clamp(min=0)[..., None])[..., 0]
    return np.where(array(y) >= 0, array(probability), np.nan)


def draw_tokens(probability: np.ndarray, words: Sequence[Sequence[str]]) -> Figure:
    """Cells (N, T) colored by probability, with a word in each; the beginning of each sequence, as far as it fits."""
    longest = max(len(word) for row in words for word in row)
    columns = min(probability.shape[1], max(1, MOST_LETTERS // (longest + 1)))
    shown = probability[:, :columns]
    figure = new_figure(7.0, 0.28 * len(shown) + 1.1)
    axes = figure.subplots()
    drawn = show(axes, shown, cmap=SEQUENTIAL, vmin=0, vmax=1)
    axes.set_aspect("auto")
    for (row, column), value in np.ndenumerate(shown):
        color = "white" if value < 0.6 else "black"
        axes.text(column, row, words[row][column], color=color, ha="center", va="center", fontsize=9)
    figure.colorbar(drawn, ax=axes, label="probability", pad=0.01)
    if columns < probability.shape[1]:
        axes.set_title(f"the first {columns} of {probability.shape[1]} tokens")
    figure.suptitle("Probability of each true token")
    return figure
