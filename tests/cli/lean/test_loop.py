"""The lean loop against Lightning's own: the same hooks in the same order, the same state at each, the same weights."""

import inspect
import os

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, StochasticWeightAveraging
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.utils.data import DataLoader, IterableDataset

from cli.lean import use_lean_loop
from tests.callbacks.plain import MemoryLogger, Plain, mlp, rows

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
Y = X.sum(1, keepdim=True)


@pytest.fixture(autouse=True)
def leaves_nothing():
    """DDP leaves a port in use, and its number in the environment, where later processes would take it up."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


# What Lightning puts around the hooks of a step, for a strategy or a loop, is no hook of ours.
NEVER_CALLED = (
    "setup",
    "teardown",
    "state_dict",
    "load_state_dict",
    "on_save_checkpoint",
    "on_load_checkpoint",
)


class Recorder(Callback):
    """Notes every hook that is called, with the counters and the weights at that moment."""

    def __init__(self):
        self.notes = []


def noting(name):
    def hook(self, trainer, pl_module, *args, **kwargs):
        shown = [
            float(each.detach()) if isinstance(each, torch.Tensor) and each.numel() == 1 else None
            for each in args
        ]
        weights = torch.cat([p.detach().flatten() for p in pl_module.parameters()]).tolist()
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
        self.notes.append(
            (
                name,
                pl_module._current_fx_name,
                shown,
                outputs_of(args),
                weights,
                trainer.fit_loop.state_dict(),
                metrics,
            )
        )

    return hook


def outputs_of(args):
    """The loss and more that `on_train_batch_end` is told."""
    return [
        {key: float(value) for key, value in each.items()}
        for each in args
        if type(each) is dict and "a" not in each
    ]


for each, _ in inspect.getmembers(Callback, inspect.isfunction):
    if each.startswith("on_") and each not in NEVER_CALLED:
        setattr(Recorder, each, noting(each))


class Own(Plain):
    """With hooks of its own, dropout, and logs of all kinds."""

    def __init__(self, **kwargs):
        super().__init__(torch.nn.Sequential(mlp(4, 8, 1), torch.nn.Dropout(0.2)), **kwargs)
        self.called = []

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        if batch_idx % 3 == 0:
            self.log("now_and_then", float(self.global_step))
        return loss

    def on_before_optimizer_step(self, optimizer):
        self.called.append(self.global_step)
        self.log("norm", torch.stack([p.grad.norm() for p in self.parameters()]).norm())

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.called.append(outputs)


class WithExtra(Own):
    def training_step(self, batch, batch_idx):
        return {"loss": super().training_step(batch, batch_idx), "rows": torch.tensor(len(batch[0]))}


class WithoutIndex(Plain):
    def __init__(self, **kwargs):
        super().__init__(mlp(4, 3, 1), **kwargs)

    def training_step(self, batch):
        return super().training_step(batch, 0)


class SkipsSome(Plain):
    def __init__(self, **kwargs):
        super().__init__(mlp(4, 3, 1), **kwargs)

    def training_step(self, batch, batch_idx):
        return None if batch_idx == 1 else super().training_step(batch, batch_idx)


class Clipping(Own):
    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        self.clip_gradients(optimizer, gradient_clip_val=0.1, gradient_clip_algorithm="value")


class Moving(Own):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        return [2 * each for each in batch]


class Stopping(Own):
    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.trainer.should_stop = self.global_step == 9


class Gap:
    """A loader whose second batch is missing."""

    def __iter__(self):
        yield from ([X, Y], None, [X, Y])

    def __len__(self):
        return 3


class Unsized(IterableDataset):
    def __iter__(self):
        yield from zip(X, Y, strict=True)


def scheduled(make, **config):
    """A model whose learning rate follows a schedule."""

    class Scheduled(Own):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), 0.1)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": make(optimizer), **config}}

    return Scheduled


SCHEDULES = torch.optim.lr_scheduler
MODELS = {
    "own hooks": Own,
    "more than a loss": WithExtra,
    "no batch_idx": WithoutIndex,
    "no loss": SkipsSome,
    "own clipping": Clipping,
    "own transfer": Moving,
    "stopping": Stopping,
    "schedule by step": scheduled(lambda o: SCHEDULES.StepLR(o, 2), interval="step"),
    "schedule by epoch": scheduled(lambda o: SCHEDULES.ExponentialLR(o, 0.5)),
    "plateau by step": scheduled(
        lambda o: SCHEDULES.ReduceLROnPlateau(o, patience=0),
        interval="step",
        frequency=4,
        monitor="train/loss_step",
    ),
    "plateau by epoch": scheduled(lambda o: SCHEDULES.ReduceLROnPlateau(o, patience=0), monitor="val/loss"),
}
TRAINERS = {
    "plain": {},
    "steps": {"max_steps": 8, "max_epochs": -1},
    "clipped": {"gradient_clip_val": 0.01},
    "validated by step": {"val_check_interval": 2},
    "validated by fraction": {"val_check_interval": 0.5},
    "validated seldom": {"check_val_every_n_epoch": 2},
    "validated across epochs": {"val_check_interval": 7, "check_val_every_n_epoch": None},
    "every step logged": {"log_every_n_steps": 1},
    "limited": {"limit_train_batches": 3},
    "overfitted": {"overfit_batches": 2},
    "bfloat16": {"precision": "bf16-mixed"},
    "fast": {"fast_dev_run": 3},
}


def half_precision():
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=4.0))


OPTIMIZERS = {
    "Adam": lambda parameters: torch.optim.Adam(parameters, 0.05),
    "LBFGS": lambda parameters: torch.optim.LBFGS(parameters, 0.1, max_iter=3),
}


def run(tmp_path, make_model, lean, *callbacks, loader=None, resume=None, **flags):
    """Everything that can be seen of a training: the hooks, the logs, the weights."""
    torch.manual_seed(3)
    model, recorder, logger = make_model(), Recorder(), MemoryLogger()
    flags = {"accelerator": "cpu", "devices": 1, "max_epochs": 3, "log_every_n_steps": 3} | flags
    trainer = pl.Trainer(
        callbacks=[recorder, *callbacks],
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{name: flag() if callable(flag) else flag for name, flag in flags.items()},
    )
    if lean:
        use_lean_loop(trainer)
    batches = loader() if loader else rows(X, Y, batch_size=6)
    trainer.fit(model, batches, rows(X, Y), ckpt_path=resume)
    checkpoint = tmp_path / f"{lean}.ckpt"
    trainer.strategy.connect(model)
    trainer.save_checkpoint(checkpoint, weights_only=False)
    return recorder.notes, logger.values, model, trainer


def assert_same(tmp_path, make_model, *callbacks, obstacle=None, **how):
    usual = run(tmp_path, make_model, False, *(make() for make in callbacks), **how)
    lean = run(tmp_path, make_model, True, *(make() for make in callbacks), **how)
    assert lean[3].fit_loop.epoch_loop.obstacle == obstacle
    assert [note[:2] for note in lean[0]] == [note[:2] for note in usual[0]]
    for mine, theirs in zip(lean[0], usual[0], strict=True):
        assert repr(mine) == repr(theirs)  # a NaN is not itself
    assert repr(lean[1]) == repr(usual[1])
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


@pytest.mark.parametrize("max_steps", [4, 5, 7])
def test_a_training_that_goes_on(tmp_path, max_steps):
    """From the end of an epoch and from within, with either loop."""
    run(tmp_path, Own, True, max_steps=max_steps, max_epochs=-1)
    (tmp_path / "True.ckpt").rename(tmp_path / "begun.ckpt")
    assert_same(tmp_path, Own, resume=tmp_path / "begun.ckpt")


class Manual(Own):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        self.optimizers().zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        self.optimizers().step()

    def on_train_batch_end(self, outputs, batch, batch_idx): ...


class OwnStep(Own):
    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
        optimizer.step(closure=optimizer_closure)


class SkipsEpoch(Own):
    def on_train_batch_start(self, batch, batch_idx):
        return -1 if batch_idx == 3 else None


class Fetching(Plain):
    def __init__(self):
        super().__init__(mlp(4, 3, 1))

    def training_step(self, dataloader_iter):
        return super().training_step(next(dataloader_iter)[0], 0)


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
