"""Stop at a step boundary when a signal asks for it, and save first."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

STEPS_BETWEEN_AGREEMENTS = 10  # asking all processes costs a communication


class Interrupted(BaseException):
    """A signal stopped the run; the state was saved.

    Args:
        signum: number of the signal; the exit code is 128 more.
        folder: of the run, which goes on with `fit --resume`.
    """

    def __init__(self, signum: int, folder: Path) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum
        self.folder = folder


class StopOnSignal(Callback):
    """On Ctrl-C or SIGTERM, finish the step, save `last.ckpt` and raise `Interrupted`.

    The handler only sets a flag: a checkpoint that is written inside a handler may hold the optimizer's state of two
    different steps. A second Ctrl-C interrupts at once.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signum: int | None = None
        self._previous: dict[int, Any] = {}

    # Lightning sets a handler of its own when the fit begins, which would end the process with code 0.
    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen()

    def between_steps(self, trainer: Trainer, batches_done: int) -> None:
        """Called by `ExactResume` wherever a checkpoint is exact; a validation that has begun is finished first."""
        if self._all_stop(trainer, batches_done):
            for logger in trainer.loggers:
                logger.save()
            trainer.save_checkpoint(self.folder / "checkpoints" / "last.ckpt")
            raise Interrupted(self.signum or signal.SIGTERM, self.folder)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if self.signum is not None and trainer.sanity_checking and trainer.world_size == 1:
            raise Interrupted(self.signum, self.folder)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def _listen(self) -> None:
        if not self._previous:
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._previous[signum] = signal.signal(signum, self._note)

    def _all_stop(self, trainer: Trainer, batches_done: int) -> bool:
        """Whether to stop after this step; processes agree on it, because a checkpoint takes all of them."""
        if trainer.world_size == 1:
            return self.signum is not None
        if batches_done % STEPS_BETWEEN_AGREEMENTS:
            return False
        return trainer.strategy.reduce_boolean_decision(self.signum is not None, all=False)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum

    def _restore(self) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        self._previous = {}
