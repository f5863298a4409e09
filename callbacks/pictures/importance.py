"""Which inputs matter: what is lost when the values of one input are shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.data_spec import spec_of
from callbacks.pictures.base import Picture
from callbacks.pictures.network import accuracy, balanced_accuracy, feature_name
from callbacks.pictures.roc import suits_two_classes
from callbacks.pictures.style import BLUE, GRAY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPEATS = 20


class Importance(Picture):
    """`fit/importance`: the accuracy lost when an input is permuted among the samples (Breiman 2001).

    Columns that belong together (`feature_groups` of the data's spec, such as one for each class of ticket) are
    permuted together; separately, they would make passengers with two classes, or none. If the model weighs its
    classes, it is the balanced accuracy: the plain one rises where a network forgets a rare class.
    """

    how_to_read: ClassVar = {
        "fit/importance": "The longer the bar, the more the network relies on that input; a bar shorter than its "
        "deviation may be chance.",
    }
    only_at_end = True

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        return suits_two_classes(data)

    def figures(self, pl_module: pl.LightningModule, data: Any, batch: Any) -> Iterable[tuple[str, Figure]]:
        spec = spec_of(data)
        groups = spec.feature_groups or {feature_name(data, k): [k] for k in range(spec.in_shape[0])}
        x, y, *_ = batch
        measure = balanced_accuracy if weighs_classes(pl_module) else accuracy
        losses = accuracy_lost(pl_module, spec.task, x, y, list(groups.values()), measure)
        name = measure.__name__.replace("_", " ")
        yield "fit/importance", draw_importance(dict(zip(groups, losses, strict=True)), name)


def weighs_classes(pl_module: pl.LightningModule) -> bool:
    """Whether one of the model's options weighs the classes in its loss."""
    return any(pl_module.hparams.get(name) is not None for name in ("class_weights", "pos_weight"))


def accuracy_lost(
    pl_module: pl.LightningModule,
    task: str,
    x: Tensor,
    y: Tensor,
    groups: Sequence[Sequence[int]],
    measure: Callable[..., float] = accuracy,
) -> np.ndarray:
    """(number of groups, REPEATS): accuracy on x (N, F), y (N,) minus accuracy with a group's columns permuted."""
    generator = torch.Generator().manual_seed(0)  # its own, so that the training's is not used
    before = measure(pl_module, task, x, y)
    lost = np.zeros((len(groups), REPEATS))
    for (group, repeat), _ in np.ndenumerate(lost):
        order = torch.randperm(len(x), generator=generator).to(x.device)
        permuted = x.clone()
        permuted[:, list(groups[group])] = x[order][:, list(groups[group])]
        lost[group, repeat] = before - measure(pl_module, task, permuted, y)
    return lost


def draw_importance(lost: Mapping[str, np.ndarray], measure: str = "accuracy") -> Figure:
    """One bar per input, the most important on top: mean and deviation of the lost accuracy."""
    names = sorted(lost, key=lambda name: lost[name].mean())
    figure = new_figure(5.0, 1.4 + 0.32 * len(names))
    axes = figure.subplots()
    means = [100 * lost[name].mean() for name in names]
    deviations = [100 * lost[name].std() for name in names]
    axes.barh(names, means, xerr=deviations, color=BLUE, error_kw={"ecolor": GRAY, "capsize": 3})
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(f"{measure} lost (percentage points)")
    axes.set_title(f"mean and deviation of {REPEATS} permutations")
    axes.tick_params(axis="y", length=0)
    figure.suptitle("Permutation importance")
    return figure
