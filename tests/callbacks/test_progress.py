"""The progress bar shows what is there, and asks for it rarely."""

import pytest
import pytorch_lightning as pl
import torch

from callbacks.progress import Progress
from tests.callbacks.plain import Plain, mlp, rows

X = torch.randn(23, 4, generator=torch.Generator().manual_seed(1))


class Counts(Progress):
    def __init__(self):
        super().__init__()
        self.asked, self.shown = 0, []

    def get_metrics(self, *args):
        self.asked += 1
        return super().get_metrics(*args)

    def _update(self, progress_bar_id, current, *args, **kwargs):
        self.shown.append(current)
        super()._update(progress_bar_id, current, *args, **kwargs)


@pytest.mark.parametrize(("steps", "shown"), [(23, [10, 20, 23]), (20, [10, 20])])
def test_it_is_brought_up_to_date_every_tenth_step_and_at_the_end(steps, shown):
    bar = Counts()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, callbacks=[bar], enable_checkpointing=False
    )
    trainer.fit(Plain(mlp(4, 3, 1)), rows(X[:steps], X[:steps, :1], batch_size=1))
    assert bar.shown == shown
    assert bar.asked <= len(shown) + 1  # and once for the epoch
