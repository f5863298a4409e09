"""Trainings with and without a graph, and what to compare of them."""

from collections import deque
from functools import partial

import pytorch_lightning as pl
import torch
from torchmetrics import MeanMetric

from callbacks import ActivationMonitor, Diagnosis, GradientMonitor
from datamodules import ToyDataModule
from lit_models import LitMLP
from runtime.graph.loop import use_graph_loop
from runtime.loop import use_lean_loop
from tests.callbacks.plain import MemoryLogger, Plain, mlp, rows
from tests.runtime.ways import X, Y

STEPS = 200
BATCHES_PER_PASS = 7
ONE_CYCLE = partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.02, total_steps=STEPS + 1)
OPTIMIZERS = {
    "adam": partial(torch.optim.Adam, lr=0.02, fused=True),
    "adamw": partial(torch.optim.AdamW, lr=0.02, weight_decay=0.1, fused=True),
    "sgd": partial(torch.optim.SGD, lr=0.1, momentum=0.9, fused=True),
}


def model_of(data, **options):
    """A small network for a data module."""
    return LitMLP(
        **{
            "in_shape": data.in_shape,
            "out_features": data.out_features,
            "task": data.task,
            "hidden_sizes": [16],
        }
        | {"optimizer": OPTIMIZERS["adam"]}
        | options
    )


def blobs():
    """160 points to train on, in batches of 24, of which the last has 16."""
    return ToyDataModule(name="blobs", batch_size=24, passes_per_epoch=4)


def train(graph, *, data=blobs, make_model=model_of, accelerator="cpu", callbacks=(), seed=1, **flags):
    """Train, with the kind of graph or None; returns model, Trainer and logged values."""
    pl.seed_everything(seed, verbose=False)
    datamodule, logger = data(), MemoryLogger()
    trainer = pl.Trainer(
        **{
            "max_steps": STEPS,
            "log_every_n_steps": 10,
            "devices": 1,
            "accelerator": accelerator,
            "logger": logger,
        }
        | {"callbacks": list(callbacks), "enable_checkpointing": False, "enable_progress_bar": False}
        | {"enable_model_summary": False}
        | flags
    )
    use_lean_loop(trainer) if graph is None else use_graph_loop(trainer, graph)
    model = make_model(datamodule)
    trainer.fit(model, datamodule)
    return model, trainer, logger.values


def diagnostics():
    """The monitors that measure at the steps at which is logged."""
    return [GradientMonitor(), ActivationMonitor(), Diagnosis()]


def furthest(one, other):
    """The largest difference between two models' weights."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


def epoch_loop(trainer):
    """The loop that replayed steps, or did not."""
    return trainer.fit_loop.epoch_loop


class Loaders(pl.LightningDataModule):
    """Loaders of torch."""

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


class Looks(pl.Callback):
    def on_after_backward(self, trainer, pl_module):
        self.seen = True
