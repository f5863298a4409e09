"""Ways of training: models, settings and data that ask the loop for something, and what notes all that it does."""

import inspect

import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.utils.data import IterableDataset

from tests.callbacks.plain import Plain, mlp

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
Y = X.sum(1, keepdim=True)
# They have no part in the course of a training.
OTHERS = (
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
    if each.startswith("on_") and each not in OTHERS:
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
