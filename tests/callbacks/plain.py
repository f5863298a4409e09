"""Plain Lightning models and a loop that runs them: nothing here knows of this repository's models."""

from collections import defaultdict
from itertools import pairwise

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.loggers.logger import Logger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)


class MemoryLogger(Logger):
    """Keeps what is logged: `values[tag]` is a list of (step, value)."""

    def __init__(self):
        super().__init__()
        self.values = defaultdict(list)

    name = version = "memory"

    def log_hyperparams(self, *args, **kwargs): ...

    def log_metrics(self, metrics, step=None):
        for tag, value in metrics.items():
            self.values[tag].append((step, float(value)))

    def last(self, tag):
        return self.values[tag][-1][1]

    def tags(self, quantity):
        return sorted(tag for tag in self.values if tag.startswith(quantity + "/"))


class Plain(pl.LightningModule):
    """Someone else's LightningModule: a network, a loss and an optimizer."""

    def __init__(self, net, loss=F.mse_loss, optimizer=None):
        super().__init__()
        self.net, self.loss = net, loss
        self.optimizer = optimizer or (lambda parameters: torch.optim.SGD(parameters, lr=0.1))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(self(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val/loss", self.loss(self(x), y))

    def configure_optimizers(self):
        return self.optimizer([p for p in self.parameters() if p.requires_grad])


def mlp(*sizes, activation=nn.Sigmoid, bias=True):
    """Linear layers with an activation in between; the layers are 0, 2, 4, ..."""
    layers = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m, bias=bias), activation()]
    return nn.Sequential(*layers[:-1])


def rows(*tensors, batch_size=None):
    return DataLoader(TensorDataset(*tensors), batch_size=batch_size or len(tensors[0]))


def fit(model, loader, *callbacks, steps=1, logger=None, val=None, ckpt_path=None, **kwargs):
    """Train for `steps` optimizer steps on one CPU without writing anything; returns the Trainer."""
    kwargs = {"accelerator": "cpu", "devices": 1, "enable_checkpointing": False} | kwargs
    kwargs |= {"enable_progress_bar": False, "enable_model_summary": False, "max_epochs": -1}
    trainer = pl.Trainer(callbacks=list(callbacks), logger=logger or False, max_steps=steps, **kwargs)
    trainer.fit(model, loader, val, ckpt_path=ckpt_path)
    return trainer


def has_hooks(model):
    """Whether anything is left on a module, on a parameter or in the instance."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    on_modules = any(getattr(module, kind) for module in model.modules() for kind in kinds)
    on_parameters = any(p._backward_hooks for p in model.parameters())
    return on_modules or on_parameters or "training_step" in model.__dict__
