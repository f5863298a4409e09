"""Folds are scikit-learn's, hold out each row once, and never cut a group or a class."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_predict,
)

from datamodules.folds import fold_rows

ROWS = 60
LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [30, 20, 10]))
GROUPS = np.repeat(np.arange(20), 3)
KINDS = {
    "plain": (KFold, {}),
    "stratified": (StratifiedKFold, {"stratify": torch.from_numpy(LABELS)}),
    "grouped": (GroupKFold, {"groups": GROUPS.tolist()}),
    "both": (StratifiedGroupKFold, {"stratify": LABELS, "groups": GROUPS}),
}


@pytest.mark.parametrize("name", KINDS)
def test_folds_are_those_of_scikit_learn(name: str) -> None:
    kind, options = KINDS[name]
    expected = kind(4, shuffle=True, random_state=7).split(np.zeros(ROWS), LABELS, GROUPS)
    for fold, (train, held_out) in enumerate(expected):
        rows = fold_rows(ROWS, 4, fold, seed=7, **options)
        assert rows["train"].tolist() == train.tolist()
        assert rows["val"].tolist() == held_out.tolist()


@pytest.mark.parametrize("name", KINDS)
def test_predictions_out_of_fold_are_those_of_cross_val_predict(name: str) -> None:
    kind, options = KINDS[name]
    x = np.random.default_rng(1).normal(LABELS[:, None], 1.0, (ROWS, 2))
    predictions = np.full(ROWS, -1)
    for fold in range(5):
        rows = {split: each.numpy() for split, each in fold_rows(ROWS, 5, fold, **options).items()}
        model = LogisticRegression().fit(x[rows["train"]], LABELS[rows["train"]])
        predictions[rows["val"]] = model.predict(x[rows["val"]])
    folds = kind(5, shuffle=True, random_state=0)
    expected = cross_val_predict(LogisticRegression(), x, LABELS, groups=GROUPS, cv=folds)
    assert predictions.tolist() == expected.tolist()


@pytest.mark.parametrize("name", KINDS)
def test_each_row_is_held_out_once_and_groups_stay_whole(name: str) -> None:
    _, options = KINDS[name]
    parts = [fold_rows(ROWS, 5, fold, **options) for fold in range(5)]
    assert sorted(torch.cat([part["val"] for part in parts]).tolist()) == list(range(ROWS))
    for part in parts:
        assert sorted([*part["train"].tolist(), *part["val"].tolist()]) == list(range(ROWS))
        if "groups" in options:
            assert not {*GROUPS[part["train"]]} & {*GROUPS[part["val"]]}
        if name == "stratified":
            assert np.bincount(LABELS[part["val"]]).tolist() == [6, 4, 2]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((ROWS, 1, 0), {}, "data.num_folds is 1; it must be at least 2"),
        ((ROWS, 5, 5), {}, "data.fold is 5; with data.num_folds 5 it must be 0 to 4"),
        ((3, 5, 0), {}, "data.num_folds is 5, but there are 3 rows"),
        ((ROWS, 11, 0), {"stratify": LABELS}, "data.num_folds is 11, but the rarest class has 10 rows"),
        ((ROWS, 21, 0), {"groups": GROUPS}, "data.num_folds is 21, but there are 20 groups"),
    ],
)
def test_what_cannot_be_cut_is_refused(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fold_rows(*arguments, **options)
