"""What is said of a loss that falls until a schedule of the learning rate ends near 0."""

import pytest
import torch

from tests.callbacks.diagnostics.test_learning import X_VAL, X, labels, net, run
from tests.callbacks.plain import Plain


class OneCycle(Plain):
    """The rate rises to its peak, and falls to a ten-thousandth of that by the last step."""

    peak = 0.1

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.peak, total_steps=240)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class Slow(OneCycle):
    peak = 0.002


class HalfWay(Plain):
    """The rate falls to a half."""

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.002)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 15, 0.5)]


@pytest.mark.parametrize("kind", [OneCycle, Slow])
def test_the_rate_of_the_last_step_is_not_advised(kind):
    """Ten times the last rate would be 1e-4 of what the schedule had at its peak."""
    found = run(kind=kind)
    for verdict in found.values():
        assert "instead of" not in verdict.advice or f"instead of {kind.peak:g}" in verdict.advice


def test_a_loss_that_only_the_end_of_a_schedule_makes_fall_is_not_said_to_fall_on():
    assert "not converged" not in run(kind=OneCycle, data=(X, labels(X)), val=(X_VAL, labels(X_VAL)))


def test_a_training_that_was_too_short_is_still_named():
    verdict = run(net(), kind=Slow)["not converged"]
    assert "until the schedule ended, where the learning rate is" in verdict.message
    assert "still falls" not in verdict.message
    assert verdict.advice == (
        "`--trainer.max_steps 1200` with a schedule as long as that, "
        "or a peak learning rate of 0.02 instead of 0.002"
    )


def test_a_rate_that_has_fallen_a_little_is_compared_with_its_peak():
    verdict = run(kind=HalfWay)["not converged"]
    assert "still falls by" in verdict.message
    assert verdict.advice.endswith("or a peak learning rate of 0.02 instead of 0.002")
