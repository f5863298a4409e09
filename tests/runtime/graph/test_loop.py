"""Which steps are replayed, what stays the same around them, and why a step is not: with a stand-in for the graph."""

import itertools
from collections import deque
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric

from callbacks import NonFiniteGuard
from runtime.graph.device_graph import CudaGraph
from tests.callbacks.plain import Plain, mlp, rows
from tests.runtime.graph.rerun import Rerun
from tests.runtime.graph.trainings import (
    BATCHES_PER_PASS,
    ONE_CYCLE,
    OPTIMIZERS,
    STEPS,
    diagnostics,
    epoch_loop,
    furthest,
    model_of,
    train,
)
from tests.runtime.ways import MODELS, X, Y


class Exact(Rerun):
    """Leaves the optimizer's arithmetic as it is."""

    optimizer_flags = ()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("flags", [{}, {"gradient_clip_val": 0.1}, {"precision": "bf16-mixed"}], ids=str)
def test_weights_and_figures_are_those_without_a_graph(optimizer, flags):
    make = partial(model_of, optimizer=OPTIMIZERS[optimizer], dropout=0.2)
    model, trainer, values = train(Rerun, make_model=make, **flags)
    usual, usual_trainer, usual_values = train(None, make_model=make, **flags)
    assert epoch_loop(trainer).why_not is None
    assert furthest(model, usual) < 1e-5  # the learning rate is a float32 tensor
    assert values.keys() == usual_values.keys()
    assert [step for step, _ in values["train/loss"]] == [step for step, _ in usual_values["train/loss"]]
    counts = (each.fit_loop.state_dict() for each in (trainer, usual_trainer))
    assert repr(next(counts)) == repr(next(counts))


def test_steps_are_usual_where_something_is_logged_or_smaller():
    _, trainer, _ = train(Rerun)
    loop = epoch_loop(trainer)
    assert loop.recorded == 1
    logged, first, smaller = STEPS // 10, 4, STEPS // BATCHES_PER_PASS
    assert STEPS - logged - first - smaller <= loop.replayed <= STEPS - logged - first


def test_diagnostics_see_the_same_as_without_a_graph():
    model, trainer, values = train(Exact, callbacks=diagnostics())
    usual, _, usual_values = train(None, callbacks=diagnostics())
    assert epoch_loop(trainer).replayed > STEPS / 2
    assert furthest(model, usual) == 0
    assert repr(values) == repr(usual_values)


def test_a_guard_that_checks_every_step_leaves_nothing_to_replay():
    _, trainer, _ = train(Rerun, callbacks=[NonFiniteGuard()])  # on a CPU
    assert epoch_loop(trainer).replayed == 0


@pytest.mark.parametrize("cycle_momentum", [False, True])
def test_schedules_take_effect(cycle_momentum):
    make = partial(model_of, scheduler=partial(ONE_CYCLE, cycle_momentum=cycle_momentum))
    model, trainer, _ = train(Rerun, make_model=make)
    usual, _, _ = train(None, make_model=make)
    assert epoch_loop(trainer).replayed > STEPS / 2
    assert furthest(model, usual) < 1e-4
    still, _, _ = train(None, make_model=model_of)
    assert furthest(model, still) > 1e-2  # without the schedule


@pytest.mark.parametrize("make_model", MODELS.values(), ids=MODELS)
def test_any_module_trains_as_without_a_graph(make_model):
    how = {"data": Loaders, "make_model": lambda data: make_model(), "max_steps": 40, "log_every_n_steps": 7}
    model, trainer, values = train(Exact, **how)
    usual, usual_trainer, usual_values = train(None, **how)
    assert furthest(model, usual) == 0
    assert repr(values) == repr(usual_values)
    assert trainer.global_step == usual_trainer.global_step > 0


class Loaders(pl.LightningDataModule):
    def train_dataloader(self):
        return rows(X, Y, batch_size=6)

    def val_dataloader(self):
        return rows(X, Y, batch_size=30)


class Net(Plain):
    def __init__(self):
        super().__init__(mlp(4, 3, 1))
        self.seen, self.count, self.mean, self.recent = [], 0, MeanMetric(), deque(maxlen=3)

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * self.factor(batch_idx)

    def factor(self, batch_idx):
        return 1.0


def test_a_module_from_elsewhere_is_replayed():
    _, trainer, _ = train(Rerun, data=Loaders, make_model=lambda data: Net(), max_steps=40)
    assert epoch_loop(trainer).why_not is None
    assert epoch_loop(trainer).replayed > 20


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


class Looks(pl.Callback):
    def on_after_backward(self, trainer, pl_module):
        self.seen = True


class Watchful(Looks):
    def watches_next_step(self, trainer):
        return trainer.global_step % 5 == 0


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


def test_a_callback_that_says_when_it_watches_is_called_then():
    watchful = Watchful()
    _, trainer, _ = train(Rerun, callbacks=[watchful])
    assert watchful.seen
    assert epoch_loop(trainer).replayed > STEPS / 2


class Thaws(pl.Callback):
    """Changes what is trained half-way."""

    def on_train_epoch_start(self, trainer, pl_module):
        first = next(pl_module.parameters())
        first.requires_grad = trainer.current_epoch >= 2


def test_a_change_of_what_is_trained_is_recorded_anew():
    model, trainer, _ = train(Exact, callbacks=[Thaws()])
    usual, _, _ = train(None, callbacks=[Thaws()])
    assert epoch_loop(trainer).recorded == 2
    assert furthest(model, usual) == 0


class Keeps(pl.Callback):
    """From elsewhere: keeps what it gets."""

    def __init__(self):
        self.losses, self.batches = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"])
        self.batches.append(batch[0])


def test_what_callbacks_from_elsewhere_keep_is_not_overwritten():
    keeps, usual = Keeps(), Keeps()
    train(Exact, callbacks=[keeps])
    train(None, callbacks=[usual])
    assert torch.equal(torch.stack(keeps.losses), torch.stack(usual.losses))
    assert all(torch.equal(a, b) for a, b in zip(keeps.batches, usual.batches, strict=True))


class Nested(pl.LightningDataModule):
    def train_dataloader(self):
        x = torch.randn(64, 4)
        parts = [{"x": [a, b], "y": b} for a, b in zip(x, x.sum(1, keepdim=True), strict=True)]
        return DataLoader(parts, batch_size=8)


class TakesNested(Plain):
    def __init__(self):
        super().__init__(mlp(4, 3, 1))

    def training_step(self, batch, batch_idx):
        return {"loss": super().training_step(batch["x"], batch_idx), "more": [batch["y"].mean()]}


class Named(pl.LightningDataModule):
    def train_dataloader(self):
        x = torch.randn(64, 4)
        return DataLoader([{"x": [a, a.sum(0, keepdim=True)], "y": "name"} for a in x], batch_size=8)


class TakesNamed(TakesNested):
    def training_step(self, batch, batch_idx):
        return Plain.training_step(self, batch["x"], batch_idx)


def test_nested_batches_are_replayed_and_words_in_a_batch_are_not():
    _, trainer, _ = train(Rerun, data=Nested, make_model=lambda data: TakesNested(), max_steps=40)
    assert epoch_loop(trainer).replayed > 20
    _, trainer, _ = train(Rerun, data=Named, make_model=lambda data: TakesNamed(), max_steps=40)
    assert "a batch holds str" in epoch_loop(trainer).why_not


def test_tensor_data_set_of_a_loader_with_workers():
    class Workers(pl.LightningDataModule):
        def train_dataloader(self):
            return DataLoader(TensorDataset(X, Y), batch_size=6, num_workers=1)

    _, trainer, _ = train(Rerun, data=Workers, make_model=lambda data: Net(), max_steps=20)
    assert epoch_loop(trainer).replayed > 5
