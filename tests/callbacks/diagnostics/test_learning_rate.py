"""The learning rate is the one with which the step was made."""

import pytest
import torch

from callbacks.diagnostics.learning_rate import LearningRate
from tests.callbacks.plain import MemoryLogger, Plain, fit, mlp, rows

X, Y = torch.randn(8, 4, generator=torch.Generator().manual_seed(1)), torch.zeros(8, 1)


class Scheduled(Plain):
    """The rate is halved after every step."""

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def logged(model, *, every=None, **kwargs):
    logger = MemoryLogger()
    fit(model, rows(X, Y, batch_size=4), LearningRate(every), logger=logger, **kwargs)
    return logger.values


def test_the_rate_of_each_step_before_the_schedule_changes_it():
    assert logged(Scheduled(mlp(4, 1)), every=1, steps=4) == {
        "lr": [(0, 1.0), (1, 0.5), (2, 0.25), (3, 0.125)]
    }


def test_it_is_logged_when_lightning_logs():
    steps = [step for step, _ in logged(Scheduled(mlp(4, 1)), steps=7, log_every_n_steps=3)["lr"]]
    assert steps == [0, 2, 5]


def test_a_step_of_several_batches_has_one_rate():
    values = logged(Scheduled(mlp(4, 1)), every=1, steps=3, accumulate_grad_batches=2)
    assert values["lr"] == [(0, 1.0), (1, 0.5), (2, 0.25)]


def groups(model):
    first, second = model.net[0], model.net[2]
    return [
        {"params": first.parameters(), "lr": 0.5, "name": "lower"},
        {"params": second.parameters(), "lr": torch.tensor(0.25)},
    ]


def test_each_group_has_a_line():
    model = Plain(mlp(4, 3, 1))
    model.optimizer = lambda parameters: torch.optim.Adam(groups(model), lr=0.1)
    values = logged(model, every=1, steps=1)
    assert values == {"lr/lower": [(0, 0.5)], "lr/1": [(0, 0.25)]}


@pytest.mark.parametrize("every", [0, -1, 1.5])
def test_a_cadence_is_a_number_of_steps(every):
    with pytest.raises(ValueError, match="not a number of steps"):
        LearningRate(every)
