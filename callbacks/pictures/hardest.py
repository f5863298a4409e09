"""The images that a classifier finds hardest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.images import INK, ink, is_image_classifier, show_captioned
from callbacks.pictures.network import array, class_name, probabilities
from callbacks.pictures.style import BLUE, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_IMAGES = 15
COLUMNS = 5


class Hardest(Picture):
    """`errors/hardest`: the images whose true class gets the least probability, the worst mistakes first."""

    how_to_read: ClassVar = {
        "errors/hardest": "The worst mistakes first, in red, each with the predicted class and its probability; in "
        "blue, the least certain correct ones. A mistake at 98 % is more worrying than one at 40 %.",
    }
    one_class_per_sample = True

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return is_image_classifier(pl_module, data)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        x, y, *_ = batch
        probability, labels = probabilities(pl_module, spec_of(data).task, x), array(y).astype(int)
        rows = hardest(probability, labels)
        names = [class_name(data, label) for label in range(probability.shape[1])]
        wrong = int((probability.argmax(1) != labels).sum())
        figure = draw_hardest(ink(x[rows.tolist()]), probability[rows], labels[rows], names)
        figure.suptitle(f"Hardest images; {wrong} of {len(labels):,} are wrong")
        yield "errors/hardest", figure


def hardest(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rows of the `NUM_IMAGES` labels (N,) with the lowest probability among (N, K); mistakes come first."""
    of_truth = probability[np.arange(len(labels)), labels]
    is_right = probability.argmax(1) == labels
    return np.lexsort([of_truth, is_right])[:NUM_IMAGES]


def draw_hardest(images: np.ndarray, probability: np.ndarray, labels: np.ndarray, names: list[str]) -> Figure:
    """Images (N, H, W), or (N, H, W, 3), each with its predicted class and probability; correct ones in blue."""
    texts, colors = [], []
    between = ", " if max(map(len, names)) < 4 else "\n"
    for chances, label in zip(probability, labels, strict=True):
        guess = int(chances.argmax())
        said = names[guess] if guess == label else f"{names[guess]}{between}not {names[label]}"
        texts.append(f"{said}\n{percent(float(chances[guess]))} sure")
        colors.append(BLUE if guess == label else VERMILION)
    figure = new_figure(6.4, 1.6 * -(-len(images) // COLUMNS) + 0.4)
    show_captioned(figure.subplots(), images, texts, COLUMNS, colors, cmap=INK)
    return figure


def percent(probability: float) -> str:
    """In whole percent; 100 only if nothing is missing."""
    return f"{min(int(100 * probability + 0.5), 99) if probability < 1 else 100} %"
