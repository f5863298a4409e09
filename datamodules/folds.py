"""The rows of a cross-validation: in each fold some are trained on and the others are held out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from torch import Tensor

Labels = Tensor | np.ndarray | Sequence[Any]


def fold_rows(
    num_rows: int,
    num_folds: int,
    fold: int,
    *,
    seed: int = 0,
    stratify: Labels | None = None,
    groups: Labels | None = None,
) -> dict[str, Tensor]:
    """Cut the rows into folds; one fold is held out, and every row is held out in exactly one of them.

    The folds are those of scikit-learn's KFold, StratifiedKFold, GroupKFold or StratifiedGroupKFold, with `shuffle=True`
    and `random_state=seed`.

    Args:
        num_rows: N.
        num_folds: K.
        fold: the one held out, from 0 to K - 1.
        seed: of the folds, which do not depend on the training's seed.
        stratify: (N,) the class of each row; each class has about the same share in every fold.
        groups: (N,) what rows belong to, such as the patient; the rows of a group are never in two folds.

    Returns:
        The row numbers "train" and "val", both in ascending order.

    Raises:
        ValueError: for a fold that does not exist, or more folds than rows, groups, or rows of the rarest class.
    """
    if num_folds < 2:
        raise ValueError(f"data.num_folds is {num_folds}; it must be at least 2")
    if not 0 <= fold < num_folds:
        raise ValueError(
            f"data.fold is {fold}; with data.num_folds {num_folds} it must be 0 to {num_folds - 1}"
        )
    labels, units = (None if each is None else np.asarray(each) for each in (stratify, groups))
    check_enough(num_folds, num_rows, labels, units)
    kinds = {
        (False, False): KFold,
        (True, False): StratifiedKFold,
        (False, True): GroupKFold,
        (True, True): StratifiedGroupKFold,
    }
    kind = kinds[labels is not None, units is not None]
    folds = kind(num_folds, shuffle=True, random_state=seed).split(np.zeros(num_rows), labels, units)
    train, held_out = list(folds)[fold]
    return {"train": torch.from_numpy(train), "val": torch.from_numpy(held_out)}


def check_enough(num_folds: int, num_rows: int, labels: np.ndarray | None, units: np.ndarray | None) -> None:
    """Refuse more folds than there is something to put into each."""
    counts = {f"there are {num_rows} rows": num_rows}
    if labels is not None:
        rarest = int(np.unique(labels, return_counts=True)[1].min())
        counts[f"the rarest class has {rarest} rows"] = rarest
    if units is not None:
        num_groups = len(np.unique(units))
        counts[f"there are {num_groups} groups"] = num_groups
    for words, count in counts.items():
        if count < num_folds:
            raise ValueError(f"data.num_folds is {num_folds}, but {words}; take fewer folds")
