"""The step at which everything is logged: one horizontal axis for losses, gradients, verdicts and pictures."""

import pytorch_lightning as pl


def steps_done(trainer: pl.Trainer) -> int:
    """Training steps so far, counted as Lightning counts them when it logs.

    With automatic optimization these are optimizer steps: `trainer.global_step`. With manual optimization a batch may
    step several optimizers (a GAN) or none, and optimizers without Lightning's wrapper are not counted at all; Lightning
    then logs by batches. A batch is done when its `training_step` is.
    """
    if trainer.lightning_module.automatic_optimization:
        return trainer.global_step
    batches = trainer.fit_loop.epoch_loop.batch_progress
    in_progress = batches.current.processed - batches.current.completed
    return batches.total.completed + in_progress
