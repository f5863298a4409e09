"""The order of batches: sorted, repeated, or as it should be."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    TensorDataset,
    WeightedRandomSampler,
)

from callbacks.checkup.checks import order
from datamodules.loader import TensorLoader
from tests.callbacks.checkup.data_checks import classifier, found, why_not
from tests.callbacks.plain import Plain

SAME_BATCH, SORTED, SAME_ORDER = (order.CHECKS[k : k + 1] for k in range(3))
N = 600


def points(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N, 4, generator=generator), torch.randint(3, (N,), generator=generator)


X, Y = points()
BY_CLASS = Y.sort().values


def loader(*tensors, batch_size=20, **kwargs):
    return DataLoader(TensorDataset(*tensors), batch_size, **kwargs)


class Groups(Sampler):
    """Batches of 2 classes with 5 samples of each, as losses on pairs need them."""

    def __init__(self, labels, seed=0):
        self.labels, self.generator = labels, torch.Generator().manual_seed(seed)

    def __len__(self):
        return 100

    def __iter__(self):
        for _ in range(100):
            batch = []
            for label in torch.randperm(3, generator=self.generator)[:2]:
                rows = (self.labels == label).nonzero().flatten()
                batch += rows[torch.randperm(len(rows), generator=self.generator)[:5]].tolist()
            yield batch


class Stream(IterableDataset):
    def __init__(self, labels):
        self.labels = labels

    def __iter__(self):
        yield from zip(X, self.labels, strict=True)


def regression():
    return Plain(nn.Linear(4, 1), lambda output, y: F.mse_loss(output[:, 0], y))


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (loader(X, BY_CLASS), {"sorted data": "warn"}),
        (loader(X, BY_CLASS, shuffle=True), {}),
        (loader(X, Y), {}),
        (DataLoader(Stream(BY_CLASS), 5), {"sorted data": "warn"}),
        (DataLoader(Stream(Y), 5), {}),
        (loader(X, (torch.arange(N) // 20) % 3), {"sorted data": "info"}),  # such as the activities of a day
        (loader(X, torch.arange(N) % 3), {}),  # classes in turns
        (DataLoader(TensorDataset(X, Y), batch_sampler=Groups(Y)), {}),
        (loader(X, (Y == 0).long(), batch_size=5, sampler=WeightedRandomSampler((Y == 0) + 0.3, N)), {}),
        (loader(X, (torch.arange(N) % 50 == 0).long()), {}),  # rare
    ],
    ids=[
        "sorted", "sorted and shuffled", "mixed", "sorted stream", "mixed stream", "recurring", "in turns", "groups",
        "weighted", "rare",
    ],
)  # fmt: skip
def test_sorted_classes(train, expected):
    assert found(SORTED, classifier(), train) == expected


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (X[:, 0].sort().values, {"sorted data": "warn"}),
        (X[:, 0], {}),
        (torch.sin(torch.arange(N) / 20), {}),  # a series in its order
        (torch.arange(N) / N + 0.3 * X[:, 0], {}),  # one with a trend
    ],
    ids=["sorted", "mixed", "wave", "trend"],
)
def test_sorted_regression_targets(targets, expected):
    assert found(SORTED, regression(), loader(X, targets)) == expected


@pytest.mark.parametrize(
    ("train", "kwargs", "reason"),
    [
        (loader(X, BY_CLASS, batch_size=N), {}, "all samples"),
        (TensorLoader((X, BY_CLASS), batch_size=None, passes=50), {}, "all samples"),
        (loader(X, BY_CLASS), {"accumulate_grad_batches": 30}, "all batches"),
        (loader(X, BY_CLASS), {"overfit_batches": 2}, "overfit_batches"),
        (loader(X, 0 * Y), {}, "same target"),
    ],
    ids=["one batch", "passes", "accumulated", "overfit_batches", "one class"],
)
def test_when_the_order_does_not_matter(train, kwargs, reason):
    (why,) = why_not(SORTED, classifier(), train, **kwargs)
    assert reason in why


def test_runs_of_a_random_order_are_as_many_as_expected():
    scores = torch.tensor([order.runs_score(points(seed)[1])[0] for seed in range(200)])
    assert abs(scores.mean()) < 0.25
    assert 0.8 < scores.std() < 1.2


class Stuck(Sampler):
    """Gives the first samples again and again."""

    def __len__(self):
        return 100

    def __iter__(self):
        for _ in range(100):
            yield list(range(10))


class Collocation(Dataset):
    """One set of points, given at each step, as physics-informed networks use it."""

    def __len__(self):
        return 1000

    def __getitem__(self, i):
        return X[0], Y[0]


class ForEver:
    def __iter__(self):
        while True:
            yield X[:20], Y[:20]


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (DataLoader(TensorDataset(X, Y), batch_sampler=Stuck()), {"same batch every step": "warn"}),
        (ForEver(), {"same batch every step": "info"}),
        (DataLoader(Collocation(), 1), {"same batch every step": "info"}),
        (loader(X, Y), {}),
        (TensorLoader((X, Y), batch_size=20, passes=5), {}),
    ],
    ids=["stuck", "for ever", "collocation points", "healthy", "passes"],
)
def test_same_batch_every_step(train, expected):
    assert found(SAME_BATCH, classifier(), train) == expected


@pytest.mark.parametrize(
    ("train", "kwargs"),
    [
        (TensorLoader((X, Y), batch_size=None, passes=5), {}),
        (loader(X[:20], Y[:20]), {}),
        (loader(X, Y), {"overfit_batches": 1}),
    ],
    ids=["passes over one batch", "one batch", "overfit_batches"],
)
def test_one_batch_on_purpose(train, kwargs):
    assert len(why_not(SAME_BATCH, classifier(), train, **kwargs)) == 1


class FixedSeed(Sampler):
    """A sampler that begins with the same seed in each epoch, unless it hears of the epoch."""

    def __init__(self, hears):
        self.epoch = 0
        if hears:
            self.set_epoch = lambda epoch: setattr(self, "epoch", epoch)

    def __len__(self):
        return N

    def __iter__(self):
        return iter(torch.randperm(N, generator=torch.Generator().manual_seed(self.epoch)).tolist())


class Augmented(TensorDataset):
    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return x + 0.1 * torch.randn(4), y


SAME = {"same order every epoch": "info"}
WALK = X.cumsum(0)


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (loader(X, Y), SAME),
        (DataLoader(Augmented(X, Y), 20), SAME),
        (loader(X, Y, sampler=FixedSeed(False)), SAME),
        (loader(X, Y, sampler=FixedSeed(True)), {}),
        (loader(X, Y, shuffle=True), {}),
        (loader(X, Y, shuffle=True, generator=torch.Generator().manual_seed(0)), {}),
        (DataLoader(TensorDataset(X, Y), batch_sampler=BatchSampler(RandomSampler(X), 20, False)), {}),
        (TensorLoader((X, Y), batch_size=20, shuffle=True), {}),
        (TensorLoader((X, Y), batch_size=20), SAME),
        (loader(WALK, Y), {}),  # a series
    ],
    ids=[
        "not shuffled", "augmented", "fixed seed", "set_epoch", "shuffled", "generator", "batch sampler",
        "tensor loader", "tensor loader in order", "series",
    ],
)  # fmt: skip
def test_same_order_every_epoch(train, expected):
    assert found(SAME_ORDER, classifier(), train) == expected
