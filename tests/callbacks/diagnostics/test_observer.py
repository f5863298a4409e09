"""One Observer drives all that measure and read, whatever their order, and lets go of the model at every end."""

from itertools import permutations

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from benchmarks.killed_training import Noisy
from callbacks import ActivationMonitor, DepthPlot, Diagnosis, GradientMonitor, NonFiniteGuard
from callbacks.diagnostics.observer import Observer
from callbacks.pictures import GradientCurve
from callbacks.step_hooks import STEP_HOOKS, implements_step_hook
from tests.callbacks.plain import MemoryLogger, Plain, fit, has_hooks, mlp, rows

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
Y = X.mean(1, keepdim=True)
KINDS = [GradientMonitor, ActivationMonitor, NonFiniteGuard, Diagnosis, DepthPlot]


def network():
    torch.manual_seed(3)
    return Plain(mlp(6, 8, 8, 1, activation=nn.ReLU), optimizer=lambda p: torch.optim.Adam(p, lr=1e-2))


def observers(trainer):
    return [each for each in trainer.callbacks if isinstance(each, Observer)]


@pytest.mark.parametrize("kind", KINDS)
def test_it_alone_has_step_hooks(kind):
    callback = kind()
    assert not implements_step_hook(callback)
    trainer = fit(network(), rows(X, Y), callback, steps=3)
    assert len(observers(trainer)) == 1
    asked = [name for name in STEP_HOOKS if getattr(observers(trainer)[0], name) is not None]
    assert asked == [
        "on_train_batch_start",
        "on_before_backward",
        "on_before_optimizer_step",
        "on_train_batch_end",
    ]


def test_it_comes_right_after_the_first_and_before_the_checkpoints(tmp_path):
    first, others = pl.Callback(), [Diagnosis(), GradientMonitor()]
    saver = ModelCheckpoint(tmp_path)
    trainer = fit(network(), rows(X, Y), first, saver, *others, enable_checkpointing=True)
    assert [type(each) for each in trainer.callbacks] == [
        pl.Callback,
        Diagnosis,
        Observer,
        GradientMonitor,
        ModelCheckpoint,
    ]


class Group(pl.Callback):
    """Someone else's callback, which owns one of ours."""

    def __init__(self, inner):
        self.inner = inner

    def setup(self, trainer, pl_module, stage):
        self.inner.setup(trainer, pl_module, stage)


@pytest.mark.parametrize("kind", KINDS)
def test_a_callback_within_another_is_driven_too(kind, tmp_path):
    callback = kind() if kind is NonFiniteGuard else kind(1)
    saver = ModelCheckpoint(tmp_path)
    trainer = fit(network(), rows(X, Y), Group(callback), saver, steps=4, enable_checkpointing=True)
    assert [type(each) for each in trainer.callbacks] == [Group, Observer, ModelCheckpoint]
    measured = {
        GradientMonitor: lambda: callback.latest_step == 3,
        ActivationMonitor: lambda: callback.latest_step == 3,
        NonFiniteGuard: lambda: callback.reports == [],
        Diagnosis: lambda: callback.state_dict()["looks"] == 4,
        DepthPlot: lambda: list(callback.measured) == [0, 3],
    }
    assert measured[kind]()


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_the_order_makes_no_difference(order):
    logger, made = MemoryLogger(), [GradientMonitor(2), ActivationMonitor(4), NonFiniteGuard(), Diagnosis()]
    fit(network(), rows(X, Y), *(made[k] for k in order), steps=9, logger=logger)
    expected = MemoryLogger()
    again = [GradientMonitor(2), ActivationMonitor(4), NonFiniteGuard(), Diagnosis()]
    fit(network(), rows(X, Y), *again, steps=9, logger=expected)
    assert logger.values == expected.values
    assert made[3].state_dict() == again[3].state_dict()


def test_what_comes_later_sees_the_step_just_measured(tmp_path):
    """Also a checkpoint's state."""
    seen = []

    class Saver(ModelCheckpoint):
        def on_train_batch_end(self, trainer, *args):
            seen.append((monitor.latest_step, trainer.callbacks[0].state_dict()["looks"]))

    monitor = GradientMonitor(1)
    made = [Diagnosis(), monitor, Saver(tmp_path)]
    fit(network(), rows(X, Y), *made, steps=3, enable_checkpointing=True)
    assert seen == [(0, 1), (1, 2), (2, 3)]


def test_readers_read_what_the_trainer_has_or_else_silent_monitors():
    logger, diagnosis, depth = MemoryLogger(), Diagnosis(1), DepthPlot(1)
    fit(network(), rows(X, Y), diagnosis, depth, steps=2, logger=logger)
    assert depth._monitor is diagnosis._gradients
    assert not any("/" in tag for tag in logger.values)
    given = GradientMonitor(1)
    fit(network(), rows(X, Y), diagnosis, depth, given, steps=2)
    assert depth._monitor is diagnosis._gradients is given


@pytest.mark.parametrize(
    "given", [GradientMonitor(2), GradientMonitor(3, exclude="net.0"), GradientMonitor(3, per_parameter=True)]
)
def test_a_depth_plot_draws_all_layers_at_the_steps_asked_for(given):
    alone, together = DepthPlot(3), DepthPlot(3)
    fit(network(), rows(X, Y), alone, steps=10)
    fit(network(), rows(X, Y), given, together, steps=10)
    assert together._monitor is not given
    assert together.measured == alone.measured
    assert list(alone.measured) == [0, 8]


def test_the_layout_has_the_charts_of_all_that_write(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    fit(network(), rows(X, Y), NonFiniteGuard(), Diagnosis(), DepthPlot(), steps=2, logger=logger)
    (layout,) = EventAccumulator(logger.log_dir).Reload().Tensors("custom_scalars__config__")
    text = layout.tensor_proto.string_val[0].decode(errors="replace")
    assert "^nonfinite/.*" in text
    assert "grad_norm" not in text


class Fails(Plain):
    def training_step(self, batch, batch_idx):
        if self.global_step == 2:
            raise RuntimeError("out of memory")
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("kind", [Plain, Fails])
def test_one_trainer_fits_twice(kind):
    """Also after an exception, after which Lightning calls no teardown."""
    monitor, diagnosis = GradientMonitor(1), Diagnosis(1)
    first = kind(mlp(6, 4, 1))
    trainer = pl.Trainer(
        max_steps=4,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        callbacks=[diagnosis, monitor],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    if kind is Fails:
        with pytest.raises(RuntimeError, match="out of memory"):
            trainer.fit(first, rows(X, Y))
    else:
        trainer.fit(first, rows(X, Y))
    assert not has_hooks(first)
    trainer.fit_loop.epoch_loop.max_steps += 4
    second = Plain(mlp(6, 5, 5, 1))
    trainer.fit(second, rows(X, Y))
    assert len(observers(trainer)) == 1
    assert list(monitor.latest["grad_norm"]) == ["00_net.0", "01_net.2", "02_net.4"]
    assert not has_hooks(second)


def test_nothing_is_kept_of_a_model_that_was_trained():
    made = [GradientMonitor(1), ActivationMonitor(1), NonFiniteGuard()]
    trainer = fit(network(), rows(X, Y), *made, Diagnosis(), DepthPlot(), steps=3)
    (observer,) = observers(trainer)
    assert (observer.monitors, observer.readers, observer.probe) == ([], [], None)
    assert [monitor.probe for monitor in made] == [None] * 3


def test_callbacks_that_the_model_brings():
    class Brings(Plain):
        def configure_callbacks(self):
            self.brought = [Diagnosis(1), GradientMonitor(1)]
            return self.brought

    replaced = GradientMonitor(1)
    model = Brings(mlp(6, 4, 1))
    trainer = fit(model, rows(X, Y), replaced, steps=3)
    assert replaced.latest_step is None
    assert model.brought[1].latest_step == 2
    trainer.fit_loop.epoch_loop.max_steps = 5
    trainer.fit(model, rows(X, Y))
    assert model.brought[1].latest_step == 4
    assert model.brought[0].state_dict()["looks"] == 2  # of the second training
    assert len(observers(trainer)) == 1


def test_an_epoch_that_is_skipped_leaves_no_hooks():
    """Lightning then calls no `on_train_batch_end`."""
    found = []

    class Skips(Plain):
        def on_train_batch_start(self, batch, batch_idx):
            return -1 if self.current_epoch == 0 else None

        def training_step(self, batch, batch_idx):
            found.append(has_hooks(self))
            return super().training_step(batch, batch_idx)

    model = Skips(mlp(6, 4, 1))
    fit(model, rows(X, Y), GradientMonitor(3), steps=4)
    assert found == [True, False, True, False]
    assert not has_hooks(model)


@pytest.mark.parametrize("evaluate", ["validate", "test", "predict"])
def test_it_is_not_there_where_nothing_is_trained(evaluate):
    class Evaluates(Plain):
        def test_step(self, batch, batch_idx):
            return self.validation_step(batch, batch_idx)

        def predict_step(self, batch, batch_idx):
            return self(batch[0])

    trainer = pl.Trainer(accelerator="cpu", logger=False, callbacks=[GradientMonitor(), GradientCurve()])
    getattr(trainer, evaluate)(Evaluates(mlp(6, 4, 1)), rows(X, Y))
    assert observers(trainer) == []


class RecurrentFailure(nn.Module):
    """Calls one layer twice, and from step 2 on its gradient is not finite."""

    def __init__(self):
        super().__init__()
        self.cell, self.calls = nn.Linear(6, 6), 0

    def forward(self, x):
        self.calls += 1
        y = self.cell(self.cell(x))
        return y * (torch.inf if self.calls > 2 else 1.0)


def test_running_a_step_again_for_its_first_nan_is_not_measured():
    monitor, guard = GradientMonitor(1), NonFiniteGuard()
    with pytest.warns(UserWarning, match="NonFiniteGuard, step 2"):
        fit(Plain(RecurrentFailure()), rows(X, Y), guard, monitor, steps=3)
    assert len(guard.reports) == 1
    assert len(monitor.calls["00_net.cell"]) == 2


@pytest.mark.parametrize("every", [1, 3, 5])
def test_with_two_optimizers_a_resumed_run_measures_at_the_same_batches(tmp_path, every):
    """Lightning logs by batch then, and so do the monitors."""

    def train(resume=None):
        logger = MemoryLogger()
        saver = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=4,
            log_every_n_steps=every,
            callbacks=[GradientMonitor(), NonFiniteGuard(), *([] if resume else [saver])],
            enable_checkpointing=resume is None,
            logger=logger,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Noisy("two optimizers"), rows(X[:, :3], Y[:, 0], batch_size=8), ckpt_path=resume)
        return {
            tag: [step for step, _ in logger.values[tag]] for tag in ("grad_norm_total", "nonfinite/00_net.0")
        }

    whole = train()
    assert set(whole["grad_norm_total"]) <= set(range(16))  # four epochs of four batches
    for epoch in range(3):
        resumed = train(tmp_path / f"epoch={epoch}.ckpt")
        for tag, steps in resumed.items():
            assert steps == [step for step in whole[tag] if step >= 4 * (epoch + 1)] != []
