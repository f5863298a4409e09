"""Which steps are replayed, what stays the same around them, and why a step is not: with a stand-in for the graph."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from callbacks import NonFiniteGuard
from tests.callbacks.plain import Plain, mlp
from tests.runtime.graph.rerun import Exact, Rerun
from tests.runtime.graph.trainings import (
    BATCHES_PER_PASS,
    ONE_CYCLE,
    OPTIMIZERS,
    STEPS,
    Loaders,
    Looks,
    Net,
    diagnostics,
    epoch_loop,
    furthest,
    model_of,
    train,
)
from tests.runtime.ways import MODELS, X, Y


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


def test_a_module_from_elsewhere_is_replayed():
    _, trainer, _ = train(Rerun, data=Loaders, make_model=lambda data: Net(), max_steps=40)
    assert epoch_loop(trainer).why_not is None
    assert epoch_loop(trainer).replayed > 20


class Watchful(Looks):
    def watches_next_step(self, trainer):
        return trainer.global_step % 5 == 0


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


class Anneals(pl.Callback):
    """Sets a number of the module before every step, and another one every 50 steps."""

    def __init__(self):
        self.calls = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.calls += 1
        pl_module.weight_of_loss = 1.0 + trainer.global_step // 50


class Weighted(Plain):
    def __init__(self):
        super().__init__(mlp(4, 3, 1))
        self.weight_of_loss = 1.0

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * self.weight_of_loss


def test_hooks_before_a_step_are_called_and_take_effect():
    anneals = Anneals()
    how = {"data": Loaders, "make_model": lambda data: Weighted()}
    model, trainer, _ = train(Exact, callbacks=[anneals], **how)
    usual, _, _ = train(None, callbacks=[Anneals()], **how)
    assert anneals.calls == STEPS
    assert epoch_loop(trainer).recorded == 4
    assert epoch_loop(trainer).replayed > STEPS / 2
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
