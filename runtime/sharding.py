"""Weights in the layout that FSDP assumes."""

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import FSDPStrategy


class ContiguousWeights(Callback):
    """Under FSDP, lays out all weights in the order of their dimensions, before FSDP takes them over.

    On one device PyTorch 2.11 to 2.15 shape each gradient in that order, whatever the layout of its weight
    (`_use_sharded_grad_views`). For weights in `torch.channels_last` fused optimizers then fail, on a GPU with "params,
    grads, exp_avgs, and exp_avg_sqs must have same dtype, device, and layout", and all others silently step in a
    wrong direction.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if isinstance(trainer.strategy, FSDPStrategy):
            for parameter in pl_module.parameters():
                parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
