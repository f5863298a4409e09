"""Workers that stay alive between epochs (`persistent_workers`): their seed comes from a generator of their own.

PyTorch draws the seed of a DataLoader's workers from the global generator whenever it starts them: once in a run, and
once more in a resumed run, whose dropout would then draw other numbers than in a run that was never stopped. Workers
that are started in every epoch are left alone, as they draw one seed per epoch in both.
"""

import os
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from datamodules.resumable import derived_seed


def has_lasting_workers(loader: Any) -> bool:
    """Whether it is a DataLoader whose workers stay alive when an epoch ends."""
    return isinstance(loader, DataLoader) and loader.num_workers > 0 and loader.persistent_workers


def seed_lasting_workers(loader: Any, trainer: pl.Trainer, number: int) -> None:
    """Let workers that stay alive get their seed from a generator of their own, unless the loader has one.

    Args:
        loader: of any class; only a DataLoader changes, and its order stays the same.
        trainer: its epoch goes into the seed, so that the workers of a resumed run do not repeat those of its start.
        number: of the loader among those of the same kind.
    """
    if has_lasting_workers(loader) and loader.generator is None:
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        loader.generator = torch.Generator()
        loader.generator.manual_seed(derived_seed(seed, number, trainer.global_rank, trainer.current_epoch))
