"""What a copied module takes for its Trainer."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers.logger import DummyLogger


class StandIn:
    """Answers like the Trainer, but has optimizers and loggers of its own, and saves nothing."""

    def __init__(self, trainer: pl.Trainer) -> None:
        logger = DummyLogger()
        own = {"optimizers": [], "lr_scheduler_configs": [], "logger": logger, "loggers": [logger]}
        own |= {
            "save_checkpoint": nothing,
            "callback_metrics": {},
            "logged_metrics": {},
            "progress_bar_metrics": {},
        }
        vars(self).update(own, _trainer=trainer)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_trainer"], name)


def nothing(*args: Any, **kwargs: Any) -> None:
    """Does what a copy does instead of logging and saving."""
