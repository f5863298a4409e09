"""The progress bar shows what is there, and asks for it rarely."""

import pytorch_lightning as pl
import torch

from callbacks import progress
from callbacks.progress import Progress
from tests.callbacks.plain import Plain, mlp, rows

X = torch.randn(23, 4, generator=torch.Generator().manual_seed(1))


class Notes(Progress):
    def __init__(self):
        super().__init__()
        self.asked, self.shown = 0, []

    def get_metrics(self, *args):
        self.asked += 1
        return super().get_metrics(*args)

    def _update(self, progress_bar_id, current, *args, **kwargs):
        self.shown.append(current)
        super()._update(progress_bar_id, current, *args, **kwargs)


class Clock:
    """A step takes a sixteenth of a second."""

    now = 100.0

    def monotonic(self):
        self.now += 1 / 16
        return self.now


def test_it_is_brought_up_to_date_twice_a_second_and_at_the_end(monkeypatch):
    monkeypatch.setattr(progress, "time", Clock())
    bar = Notes()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, callbacks=[bar], enable_checkpointing=False
    )
    trainer.fit(Plain(mlp(4, 3, 1)), rows(X, X[:, :1], batch_size=1))
    assert bar.shown == [1, 9, 17, 23]
    assert bar.asked == 4 + 1  # and once for the epoch
