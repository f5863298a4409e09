"""How a training's time was spent: start-up, check-up, training, validation, drawing."""

import time

from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.checkup import Checkup
from callbacks.pictures.base import pictures_of


class PhaseTimer(Callback):
    """Notes when the training begins, and how long its validations take. It has no hooks for single steps."""

    def __init__(self) -> None:
        self.begun: float | None = None  # by time.perf_counter(); None before the training
        self.validation = 0.0  # seconds so far
        self._validation_began = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.begun, self.validation = time.perf_counter(), 0.0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validation_began = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.validation += time.perf_counter() - self._validation_began


def seconds_by_phase(trainer: Trainer, started: float) -> dict[str, float]:
    """Seconds since the program began, by phase, and their sum "total".

    Training is what the other phases leave; so it includes the diagnostics, and writing checkpoints.

    Args:
        trainer: with a `PhaseTimer`.
        started: `time.perf_counter()` when the program began.
    """
    timer = next(each for each in trainer.callbacks if isinstance(each, PhaseTimer))
    total = time.perf_counter() - started
    seconds = {
        "start-up": total if timer.begun is None else timer.begun - started,
        "check-up": sum(each.seconds for each in trainer.callbacks if isinstance(each, Checkup)),
        "validation": timer.validation,
        "drawing": sum(picture.seconds for picture in pictures_of(trainer)),
    }
    seconds["training"] = max(total - sum(seconds.values()), 0.0)
    order = ("start-up", "check-up", "training", "validation", "drawing")
    return {name: round(seconds[name], 3) for name in order} | {"total": round(total, 3)}
