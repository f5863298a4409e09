"""EMAWeightAveraging: the moving average of the weights, right for every model, and fast on a GPU."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer, callbacks
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from runtime import private
from runtime.errors import UsageError

Update = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


class EMAWeightAveraging(callbacks.EMAWeightAveraging):
    """Lightning's callback of that name, which validates, saves and tests the average, with these differences.

    - Before the average begins (`update_starting_at_step`), validation and checkpoints have the network's own weights.
      Lightning's have those of a copy that was made before the training, and ends with them if the average never begins.
    - Buffers of integers and booleans, such as positions, are copied. Lightning's average of 5 and 5 may be 4.
    - The average is on the network's device, unless `device` says otherwise. Lightning leaves it on the CPU.
    - Strategies that shard the weights are refused. So is `update_starting_at_epoch`, which in Lightning does not keep
      the steps of earlier epochs from being averaged.

    Args:
        device: of the average; by default that of the network.
        use_buffers: average the buffers, too, such as the statistics of batch norm; False copies them.
        decay: at each update the average keeps so much of itself, and takes the rest from the network.
        update_every_n_steps: steps between two updates.
        update_starting_at_step: the first step, counted from 0, after which the average begins.
    """

    def __init__(
        self,
        device: str | None = None,
        use_buffers: bool = True,
        decay: float = 0.999,
        update_every_n_steps: int = 1,
        update_starting_at_step: int | None = None,
    ) -> None:
        if update_every_n_steps < 1:
            raise ValueError(f"update_every_n_steps is {update_every_n_steps}; it must be at least 1")
        super().__init__(device, use_buffers, decay, update_every_n_steps, update_starting_at_step)
        self.decay, self.device = decay, device

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
            raise UsageError(
                f"EMAWeightAveraging needs whole weights, which {type(trainer.strategy).__name__} divides; take "
                "--trainer.strategy ddp, or leave the callback out"
            )
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            average: Any = private.averaged_model(self)
            average.avg_fn, average.multi_avg_fn = None, average_of_real_numbers(self.decay)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The network is on its device now. The counter of updates stays where it can be read without waiting."""
        average = private.averaged_model(self)
        if average is not None and self.device is None:
            average.module.to(pl_module.device)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.has_begun():
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.has_begun():
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.has_begun():
            super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        own = checkpoint["state_dict"]
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if not self.has_begun():
            checkpoint["state_dict"] = own

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if private.averaged_model(self) is not None:  # in an evaluation the saved weights are the average
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def has_begun(self) -> bool:
        """Whether there is an average yet."""
        average = private.averaged_model(self)
        return average is not None and bool(average.n_averaged > 0)


def average_of_real_numbers(decay: float) -> Update:
    """What updates an average; numbers that are not real are copied."""
    update_average = get_ema_multi_avg_fn(decay)

    def update(average: Sequence[Tensor], current: Sequence[Tensor], count: Any) -> None:
        if torch.is_floating_point(average[0]) or torch.is_complex(average[0]):
            update_average(average, current, count)
        else:
            for mean, value in zip(average, current, strict=True):
                mean.copy_(value)

    return update
