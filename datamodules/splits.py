"""The splits of a data set: which rows they have, and what is refused."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from datamodules.spec import DataSpec

# Inputs (N, ...), targets (N,) or (N, ...), and perhaps further parts (N, ...), such as the weights of the rows; the
# split "predict" has the rows' ids (N,) instead of targets.
Split = tuple[Tensor, ...]

MOST_ROWS = 1024  # of a batch in an evaluation
MOST_NUMBERS = 2**22  # that go into a network, or come out of it, for such a batch
ONE_OUTPUT_EACH = ("binary", "multilabel", "regression", "reconstruction")  # for each entry of the target


def split_rows(num_rows: int, num_val: int, seed: int, num_test: int = 0) -> dict[str, Tensor]:
    """Split the rows at random into train, val and test; depends on `seed`, not on the training's seed.

    Raises:
        ValueError: if nothing is left to train on.
    """
    num_train = num_rows - num_val - num_test
    if num_train < 1:
        raise ValueError(
            f"{num_rows} rows leave none for training after {num_val} for validation and {num_test} for test"
        )
    order = torch.randperm(num_rows, generator=torch.Generator().manual_seed(seed))
    train, val, test = order.split([num_train, num_val, num_test])
    return {"train": train, "val": val, "test": test}


def check_splits(splits: Mapping[str, Split], source: str) -> None:
    """Refuse a split without rows, or whose parts have different numbers of them.

    Args:
        splits: by name.
        source: of the data, as the message names it.
    """
    for name, parts in splits.items():
        if len(parts[0]) == 0:
            raise ValueError(f"the {name} split of {source} has no rows; check its data options")
        if len({len(part) for part in parts}) > 1:
            lengths = ", ".join(str(len(part)) for part in parts)
            raise ValueError(
                f"the parts of the {name} split of {source} have {lengths} rows; each must have the same"
            )


def rows_per_evaluation(splits: Mapping[str, Split], name: str, spec: DataSpec) -> int:
    """Rows of a batch of an evaluation, few enough for memory where inputs are large or targets have many positions.

    1024, unless inputs or outputs would have more than 4 million numbers: then 16 for images of 512 x 512 pixels, say.
    The layers between them hold some ten to a hundred times as many.

    Args:
        splits: as they come from `load`.
        name: of the split that is evaluated.
        spec: says how many outputs there are for each entry of the target.
    """
    if name not in splits:
        return MOST_ROWS
    x, y = (
        splits[name][0],
        splits.get("train", splits[name])[1],
    )  # a split to predict has ids instead of targets
    outputs = 1 if spec.task in ONE_OUTPUT_EACH else spec.out_features
    numbers = max(math.prod(x.shape[1:]), math.prod(y.shape[1:]) * outputs, 1)
    return max(1, min(MOST_ROWS, MOST_NUMBERS // numbers))
