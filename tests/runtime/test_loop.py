"""The lean loop against Lightning's own: the same hooks in the same order, the same state at each, the same weights."""

import os

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping, StochasticWeightAveraging
from torch.utils.data import DataLoader

from callbacks import ActivationMonitor, Diagnosis, GradientMonitor, NonFiniteGuard
from runtime.loop import use_lean_loop
from runtime.private import logged_steps
from tests.callbacks.plain import MemoryLogger, rows
from tests.runtime.ways import (
    MODELS,
    OPTIMIZERS,
    TRAINERS,
    Fetching,
    Gap,
    Manual,
    Own,
    OwnStep,
    Recorder,
    SkipsEpoch,
    Unsized,
    X,
    Y,
    half_precision,
)


@pytest.fixture(autouse=True)
def leaves_nothing():
    """DDP leaves a port in use, and its number in the environment, where later processes would take it up."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def run(tmp_path, make_model, lean, *callbacks, loader=None, resume=None, val_batch_size=30, **flags):
    """Everything that can be seen of a training: the hooks, the logs, the weights."""
    torch.manual_seed(3)
    model, recorder, logger = make_model(), Recorder(), MemoryLogger()
    flags = {"accelerator": "cpu", "devices": 1, "max_epochs": 3, "log_every_n_steps": 3} | flags
    trainer = pl.Trainer(
        callbacks=[recorder, *callbacks],
        logger=logger,
        enable_checkpointing=any(isinstance(each, Checkpoint) for each in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        **{name: flag() if callable(flag) else flag for name, flag in flags.items()},
    )
    if lean:
        use_lean_loop(trainer)
    batches = loader() if loader else rows(X, Y, batch_size=6)
    trainer.fit(model, batches, rows(X, Y, batch_size=val_batch_size), ckpt_path=resume)
    checkpoint = tmp_path / f"{lean}.ckpt"
    trainer.strategy.connect(model)
    trainer.save_checkpoint(checkpoint, weights_only=False)
    return recorder.notes, logger.values, model, trainer


def assert_same_figures(lean, usual, last_step):
    """The lean loop writes the same, and the figures of the last step even if they are not due."""
    for tag in {**usual, **lean}:
        mine, theirs = ([repr(each) for each in written.get(tag, [])] for written in (lean, usual))
        if tag == "epoch":  # written along with each row
            mine, theirs = dict.fromkeys(mine), dict.fromkeys(theirs)
        added = f"({last_step}, "
        assert [each for each in mine if each in theirs or not each.startswith(added)] == [*theirs], tag


def assert_same(tmp_path, make_model, *callbacks, obstacle=None, **how):
    usual = run(tmp_path, make_model, False, *(make() for make in callbacks), **how)
    lean = run(tmp_path, make_model, True, *(make() for make in callbacks), **how)
    assert lean[3].fit_loop.epoch_loop.obstacle == obstacle
    assert [note[:2] for note in lean[0]] == [note[:2] for note in usual[0]]
    for mine, theirs in zip(lean[0], usual[0], strict=True):
        assert repr(mine) == repr(theirs)  # a NaN is not itself
    assert_same_figures(lean[1], usual[1], logged_steps(usual[3]) - 1)
    assert lean[3].global_step == usual[3].global_step > 0
    for name, weight in usual[2].state_dict().items():
        assert torch.equal(lean[2].state_dict()[name], weight), name
    return lean


@pytest.mark.parametrize("make_model", MODELS.values(), ids=MODELS)
def test_models(tmp_path, make_model):
    assert_same(tmp_path, make_model)


@pytest.mark.parametrize("flags", TRAINERS.values(), ids=TRAINERS)
def test_trainers(tmp_path, flags):
    assert_same(tmp_path, Own, **flags)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizers(tmp_path, optimizer):
    assert_same(tmp_path, lambda: Own(optimizer=optimizer))


@pytest.mark.parametrize(
    "loader",
    [
        lambda: DataLoader(Unsized(), batch_size=6),
        lambda: {"a": rows(X, Y, batch_size=6)},
        Gap,
    ],
    ids=["unsized", "named", "None among the batches"],
)
def test_loaders(tmp_path, loader):
    class Any(Own):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch["a"] if isinstance(batch, dict) else batch, batch_idx)

    assert_same(tmp_path, Any, loader=loader)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EarlyStopping("val/loss", patience=1, min_delta=10),
        lambda: EarlyStopping("train/loss_epoch", check_on_train_epoch_end=True, patience=0, min_delta=10),
        lambda: StochasticWeightAveraging(0.05, swa_epoch_start=1),
    ],
    ids=["stopped by validation", "stopped by training", "averaged"],
)
def test_callbacks(tmp_path, make):
    assert_same(tmp_path, Own, make)


def test_monitors_that_measure_at_some_of_the_steps(tmp_path):
    callbacks = (lambda: GradientMonitor(2), lambda: ActivationMonitor(4), NonFiniteGuard, Diagnosis)
    _, logged, _, trainer = assert_same(tmp_path, Own, *callbacks)
    measured = [0, *range(1, trainer.global_step, 2)]
    assert [step for step, _ in logged["grad_norm_total"]] == measured


@pytest.mark.parametrize("max_steps", [4, 5, 7])
def test_a_training_that_goes_on(tmp_path, max_steps):
    """From the end of an epoch and from within, with either loop."""
    run(tmp_path, Own, True, max_steps=max_steps, max_epochs=-1)
    (tmp_path / "True.ckpt").rename(tmp_path / "begun.ckpt")
    assert_same(tmp_path, Own, resume=tmp_path / "begun.ckpt")


@pytest.mark.parametrize(
    ("obstacle", "make_model", "flags"),
    [
        ("manual optimization", Manual, {}),
        ("the module's own optimizer_step", OwnStep, {}),
        ("the module's own on_train_batch_start", SkipsEpoch, {}),
        ("a training_step that fetches its batches", Fetching, {}),
        ("accumulated batches", Own, {"accumulate_grad_batches": 2}),
        ("a profiler", Own, {"profiler": "simple"}),
        (
            "precision 16-mixed",
            Own,
            {"plugins": half_precision},
        ),
        ("precision 64-true", Own, {"precision": "64-true"}),
        ("strategy DDPStrategy", Own, {"strategy": "ddp"}),
    ],
)
def test_what_needs_more_is_left_to_lightning(tmp_path, obstacle, make_model, flags):
    assert_same(tmp_path, make_model, obstacle=obstacle, **flags)


def test_hooks_hold_for_an_epoch_at_least(tmp_path):
    """One that is put into a callback when an epoch starts is called in that epoch."""

    class Late(Callback):
        seen = 0

        def on_train_epoch_start(self, trainer, pl_module):
            def hook(*args):
                self.seen += 1

            self.on_train_batch_end = hook

    late = Late()
    run(tmp_path, Own, True, late)
    assert late.seen == 15
