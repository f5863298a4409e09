"""Small images and networks for them that come from elsewhere."""

from types import SimpleNamespace

import pytorch_lightning as pl
import torch
from torch import nn

from callbacks.pictures.style import drawing
from tests.callbacks.plain import Plain, rows

SHAPE = (1, 8, 8)
X = torch.rand(40, *SHAPE, generator=torch.Generator().manual_seed(1))
Y = torch.arange(40) % 3


def data(**attributes):
    """What a data module says of itself."""
    usual = {"task": "multiclass", "in_shape": list(SHAPE), "out_features": 3, "class_names": ["a", "b", "c"]}
    return SimpleNamespace(**usual | attributes)


class DataModule(pl.LightningDataModule):
    """The images as a data module of someone else's."""

    def __init__(self, **attributes):
        super().__init__()
        vars(self).update(vars(data(**attributes)))

    def train_dataloader(self):
        return rows(X, Y, batch_size=10)

    val_dataloader = train_dataloader


class Autoencoder(Plain):
    def __init__(self):
        super().__init__(nn.Sequential(nn.Flatten(), nn.Linear(64, 5)), loss=lambda output, _: output.mean())
        self.decoder = nn.Linear(5, 64)

    def encode(self, x):
        return self.net(x)

    def forward(self, x):
        return self.decoder(self.encode(x)).reshape(x.shape)


def classifier(*layers):
    """A network with a loss for three classes."""
    return Plain(nn.Sequential(*layers), loss=nn.functional.cross_entropy).eval()


def convnet():
    """Two blocks, the first of two convolutions."""
    first = [
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
    ]
    second = [nn.Conv2d(6, 20, 3, padding=1), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(2)]
    return classifier(*first, *second, nn.Flatten(), nn.Linear(80, 3))


def figures(picture, model, about=None, batch=(X, Y)):
    """What a picture draws, by tag."""
    with torch.no_grad(), drawing():
        return dict(picture.figures(model, about or data(), batch))


def fit(model, *callbacks, logger=False, datamodule=None):
    """Train for two epochs."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = pl.Trainer(callbacks=list(callbacks), max_epochs=2, accelerator="cpu", logger=logger, **quiet)
    trainer.fit(model, datamodule=datamodule or DataModule())
