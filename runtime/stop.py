"""Stop at a step boundary after a signal, and save first."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from runtime.resume import STEPS_BETWEEN_AGREEMENTS
from runtime.signals import STOP_SIGNALS, Interrupted, already_raised


class StopOnSignal(Callback):
    """On Ctrl-C, SIGTERM or SIGUSR1, finish the step, save `last.ckpt` and raise `Interrupted`.

    The handler only sets a flag, because a checkpoint written inside a handler may mix the optimizer's state of two
    different steps. A second Ctrl-C interrupts at once.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signum: int | None = None
        self._previous: dict[int, Any] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the folder that the first process chose.

        Raises:
            ValueError: if processes start from different checkpoints, and would drift apart.
        """
        own = trainer.ckpt_path
        self.folder, first = trainer.strategy.broadcast((self.folder, own))
        if own != first:
            raise ValueError(
                f"process {trainer.global_rank} begins from the checkpoint {own}, the first process from {first}; "
                "the folder of the runs must be the same on all machines"
            )

    # Lightning sets its own handler when the fit begins, which would end the process with code 0.
    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen()

    def between_steps(self, trainer: Trainer, batches_done: int) -> None:
        """`ExactResume` calls this whenever a checkpoint is exact. A validation that has begun is finished first."""
        if signum := self._agreed_signal(trainer, batches_done):
            trainer.save_checkpoint(self.folder / "checkpoints" / "last.ckpt", weights_only=False)
            raise Interrupted(signum, self.folder)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if self.signum is not None and trainer.sanity_checking and trainer.world_size == 1:
            raise Interrupted(self.signum, self.folder)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def _listen(self) -> None:
        if not self._previous:
            for signum in STOP_SIGNALS:
                self._previous[signum] = signal.signal(signum, self._note)
            self.signum = already_raised()

    def _agreed_signal(self, trainer: Trainer, batches_done: int) -> int | None:
        """The signal after which to stop now; processes agree on it, because a checkpoint needs all of them.

        The signal may have reached only one of them. Of several, the highest number wins: SIGTERM over SIGUSR1.
        """
        if trainer.world_size == 1:
            return self.signum
        if batches_done % STEPS_BETWEEN_AGREEMENTS:
            return None
        signum = torch.tensor(self.signum or 0, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(signum, reduce_op="max")) or None

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum

    def _restore(self) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        self._previous = {}
