"""Does each worker of the training loader draw random numbers of its own?

PyTorch seeds the global generators of Python, NumPy and torch in each worker. A generator that a data set holds itself
is copied into every worker, so all of them draw the same numbers, in every epoch again.
"""

from __future__ import annotations

import contextlib
import pickle
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, get_worker_info

from callbacks.checkup.check import Check
from callbacks.checkup.copying import DoesNotApplyError
from callbacks.checkup.samples import can_be_indexed
from callbacks.checkup.subject import Subject
from callbacks.checkup.untouched import generators_of, in_training, state_of, untouched
from callbacks.diagnostics.verdict import Verdict

# The module that tells a worker which one it is; it has no public name.
workers: Any = sys.modules[get_worker_info.__module__]


def workers_draw_their_own(subject: Subject) -> list[Verdict]:
    """No generator of the data set is in the same state in two workers after one sample."""
    loader = subject.trainer.train_dataloader
    if not isinstance(loader, DataLoader):
        raise DoesNotApplyError("it is no DataLoader of torch")
    num_workers = in_training(loader, "num_workers")
    repeats = not in_training(loader, "persistent_workers") and subject.trainer.max_epochs != 1
    if num_workers == 0 or (num_workers == 1 and not repeats):
        return []
    if not can_be_indexed(loader):
        raise DoesNotApplyError("the data set is a stream")
    generators = generators_of(loader.dataset, loader.collate_fn)
    names = [type(each).__name__ for each in generators] + ["torch", "random", "np.random"]
    (before, first), (_, second) = (_states_in_worker(loader, generators, number) for number in (0, 1))
    shared = [name for name, old, a, b in zip(names, before, first, second, strict=True) if a == b != old]
    if not shared:
        return []
    each_epoch = "; each epoch begins with the same numbers again" if repeats else ""
    return [
        Verdict(
            "workers share random numbers",
            [],
            f"the data set draws from {' and '.join(sorted(set(shared)))}, which begins in the same state in each of the "
            f"{num_workers} workers{each_epoch}.",
            "the global generator (torch.rand, np.random.rand), which PyTorch seeds in each worker; or a worker_init_fn "
            "that seeds the data set's own",
        )
    ]


def _states_in_worker(
    loader: DataLoader, generators: list[Any], number: int
) -> tuple[list[bytes], list[bytes]]:
    """The data set's generators and the global ones, before and after a worker of this number reads a sample."""
    with untouched(loader), _as_worker(loader, number):
        if loader.worker_init_fn is not None:
            loader.worker_init_fn(number)
        before = _states(generators)
        loader.collate_fn([loader.dataset[0]])
        return before, _states(generators)


def _states(generators: list[Any]) -> list[bytes]:
    everywhere = [torch.get_rng_state(), random.getstate(), np.random.get_state()]
    states = [*(state_of(each) for each in generators), *everywhere]
    return [
        each.numpy().tobytes() if isinstance(each, torch.Tensor) else pickle.dumps(each) for each in states
    ]


@contextlib.contextmanager
def _as_worker(loader: DataLoader, number: int) -> Iterator[None]:
    """Let this process look like a worker."""
    info = workers.WorkerInfo(id=number, num_workers=2, seed=number, dataset=loader.dataset)
    was = get_worker_info()
    vars(workers)["_worker_info"] = info
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
    try:
        yield
    finally:
        vars(workers)["_worker_info"] = was


CHECKS = (Check("each worker draws random numbers of its own", workers_draw_their_own),)
