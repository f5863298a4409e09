"""Why a step is not replayed: what it does in Python, and settings of the training."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch

from runtime.graph.device_graph import CudaGraph
from tests.runtime.graph.rerun import Exact, Rerun
from tests.runtime.graph.trainings import Loaders, Looks, Net, epoch_loop, furthest, model_of, train


class Counts(Net):
    def factor(self, batch_idx):
        self.count += 1
        return 1.0


class Collects(Net):
    def factor(self, batch_idx):
        self.seen.append(batch_idx)
        return 1.0


class Remembers(Net):
    def factor(self, batch_idx):
        self.recent.append(batch_idx)
        return 1.0


class Measures(Net):
    def factor(self, batch_idx):
        self.mean.update(1.0)
        return 1.0


class DrawsOnHost(Net):
    def factor(self, batch_idx):
        return 1 + np.random.rand()


class ReadsIndex(Net):
    def factor(self, batch_idx):
        return 1 + batch_idx % 2


class ReadsStep(Net):
    def factor(self, batch_idx):
        return 1 + self.global_step / 100


class ReadsEpoch(Net):
    def factor(self, batch_idx):
        return 1 + self.current_epoch / 10


class LogsNumber(Net):
    def factor(self, batch_idx):
        self.log("two", 2.0)
        return 1.0


CLOCK = itertools.count(1)


class ReadsClock(Net):
    """Nothing shows it but that two steps from the same state end in different places."""

    def factor(self, batch_idx):
        return float(next(CLOCK))


REASONS = {
    Counts: "changes self.count",
    Collects: "changes self.seen",
    Remembers: "changes self.recent",
    Measures: "changes self.mean",
    DrawsOnHost: "random numbers on the CPU",
    ReadsIndex: "uses batch_idx",
    ReadsStep: "uses global_step",
    ReadsEpoch: "uses current_epoch",
    LogsNumber: "logs 'two'",
    ReadsClock: "differs from a usual one",
}


@pytest.mark.parametrize("module", REASONS)
def test_what_a_replay_cannot_repeat_runs_as_usual(module):
    model, trainer, _ = train(Exact, data=Loaders, make_model=lambda data: module(), max_steps=40)
    usual, _, _ = train(None, data=Loaders, make_model=lambda data: module(), max_steps=40)
    loop = epoch_loop(trainer)
    assert REASONS[module] in loop.why_not
    assert loop.replayed == 0
    if module is not ReadsClock:  # whose clock went on while the step was tried
        assert furthest(model, usual) == 0


def lbfgs(data):
    return model_of(data, optimizer=torch.optim.LBFGS)


class OwnAdam(torch.optim.Adam):
    pass


SETTINGS = {
    "another device": ({"graph": None}, "the device is cpu, not cuda"),
    "LBFGS": ({"make_model": lbfgs}, "several times"),
    "an optimizer from elsewhere": (
        {"make_model": partial(model_of, optimizer=OwnAdam)},
        "not of torch.optim",
    ),
    "a callback within the step": ({"callbacks": [Looks()]}, "Looks has on_after_backward"),
    "accumulated batches": ({"accumulate_grad_batches": 2}, "accumulated batches"),
    "a profiler": ({"profiler": "simple"}, "a profiler"),
    "anomalies": ({"detect_anomaly": True}, "detect_anomaly"),
}


@pytest.mark.parametrize(("how", "reason"), SETTINGS.values(), ids=SETTINGS)
def test_why_steps_run_as_usual_is_said_once(how, reason, caplog):
    how = dict(how)
    graph = how.pop("graph", Rerun) or CudaGraph
    with caplog.at_level("INFO", logger="pytorch_lightning.utilities.rank_zero"):
        _, trainer, _ = train(graph, max_steps=60, **how)
    said = [each.message for each in caplog.records if each.message.startswith("graph:")]
    assert len(said) == 1
    assert reason in said[0]
    assert trainer.global_step == 60
