"""Networks that give no class for each image: one sentence in all, not a failure of every picture."""

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from callbacks.pictures.confusion import Confusion
from callbacks.pictures.hardest import Hardest
from callbacks.pictures.robustness import Robustness
from tests.callbacks.plain import rows


class Denoiser(pl.LightningModule):
    """Of a diffusion model: takes an image and a time, or a default one, and returns the noise in it."""

    def __init__(self, needs_time: bool) -> None:
        super().__init__()
        self.layer, self.needs_time = nn.Conv2d(1, 1, 3, padding=1), needs_time

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        if self.needs_time and time is None:
            raise TypeError("forward() missing 1 required positional argument: 'time'")
        return self.layer(x)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self(batch[0], torch.zeros(())).square().mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Digits(pl.LightningDataModule):
    """Images with classes, which the network does not predict."""

    spec = SimpleNamespace(task="multiclass", in_shape=(1, 8, 8), out_features=10, class_names=())

    def train_dataloader(self) -> DataLoader:
        return rows(torch.rand(20, 1, 8, 8), torch.arange(20) % 10)

    val_dataloader = train_dataloader


@pytest.mark.parametrize(
    ("needs_time", "said"),
    [
        (True, r"Denoiser(x) fails for the inputs of a batch (TypeError)"),
        (False, "Denoiser(x) returns [20, 1, 8, 8], where a multiclass task has [20, 10]"),
    ],
)
def test_one_sentence_says_why_there_are_no_pictures(needs_time: bool, said: str, tmp_path: Any) -> None:
    pictures = [kind(tmp_path) for kind in (Confusion, Hardest, Robustness)]
    data = Digits()
    assert all(picture.suits(Denoiser(needs_time), data) for picture in pictures)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=pictures,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")  # as in a command: the same words are shown once
        trainer.fit(Denoiser(needs_time), datamodule=data)
    found = [str(each.message) for each in caught if "drawn" in str(each.message)]
    assert found == [f"pictures of outputs are not drawn: {said}"]
    assert not list(tmp_path.rglob("*.png"))
