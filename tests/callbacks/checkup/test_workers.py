"""Random numbers in the workers of a loader."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from callbacks.checkup.checks.workers import CHECKS
from tests.callbacks.checkup.data_checks import classifier, found

SHARED = {"workers share random numbers": "warn"}


class Drawn(Dataset):
    """Samples that are drawn with `draw(own generator)`."""

    def __init__(self, own=None, draw=lambda own: torch.rand(4)):
        self.own, self.draw = own, draw

    def __len__(self):
        return 64

    def __getitem__(self, i):
        return torch.as_tensor(self.draw(self.own)).float(), i % 3


class SeedsItself(Drawn):
    """Makes its generator in the worker."""

    def __getitem__(self, i):
        if self.own is None:
            self.own = np.random.default_rng(get_worker_info().seed if get_worker_info() else 0)
        return torch.as_tensor(self.own.random(4)).float(), i % 3


class Transform:
    def __init__(self):
        self.generator = torch.Generator()

    def __call__(self):
        return torch.rand(4, generator=self.generator)


def seed_alike(worker):
    torch.manual_seed(0)


class OfTheClass(Drawn):
    own = random.Random(0)

    def __init__(self):
        self.draw = lambda own: 4 * [own.random()]


def seed_own(worker):
    get_worker_info().dataset.own = np.random.default_rng(worker)


def numpy_own(**kwargs):
    return Drawn(np.random.default_rng(0), lambda own: own.random(4)), kwargs


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        (*numpy_own(num_workers=2), SHARED),
        (*numpy_own(num_workers=1), SHARED),  # the same numbers in each epoch
        (*numpy_own(num_workers=1, persistent_workers=True), {}),
        (*numpy_own(num_workers=0), {}),
        (*numpy_own(num_workers=2, worker_init_fn=seed_own), {}),
        (Drawn(np.random.RandomState(0), lambda own: own.rand(4)), {"num_workers": 2}, SHARED),
        (Drawn(random.Random(0), lambda own: 4 * [own.random()]), {"num_workers": 2}, SHARED),
        (Drawn(Transform(), lambda own: own()), {"num_workers": 2}, SHARED),
        (Drawn(np.random.default_rng(0), lambda own: torch.rand(4)), {"num_workers": 2}, {}),  # not used
        (Drawn(draw=lambda own: np.random.rand(4)), {"num_workers": 2}, {}),
        (Drawn(draw=lambda own: 4 * [random.random()]), {"num_workers": 2}, {}),
        (SeedsItself(), {"num_workers": 2}, {}),
        (OfTheClass(), {"num_workers": 2}, SHARED),
        (Drawn(), {"num_workers": 2, "worker_init_fn": seed_alike}, SHARED),
    ],
    ids=[
        "numpy", "one worker", "persistent", "no workers", "worker_init_fn", "old numpy", "python", "transform",
        "not used", "global numpy", "global python", "seeds itself", "of the class", "seeded alike",
    ],
)  # fmt: skip
def test_workers(data, options, expected):
    train = DataLoader(data, 8, **options)
    assert found(CHECKS, classifier(), train) == expected
    assert get_worker_info() is None


def test_the_state_of_the_generators_is_left_alone():
    data, _ = numpy_own()
    before = data.own.bit_generator.state["state"]
    found(CHECKS, classifier(), DataLoader(data, 8, num_workers=2))
    assert data.own.bit_generator.state["state"] == before
