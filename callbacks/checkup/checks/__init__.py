"""All checks, in the order of their worth: the time may not suffice for the last ones."""

from callbacks.checkup.check import Check
from callbacks.checkup.checks import loss, loss_shapes, objective, preparation, splits, wiring

CHECKS: tuple[Check, ...] = (
    *wiring.CHECKS,
    *loss.CHECKS,
    *loss_shapes.CHECKS,
    *objective.CHECKS,
    *splits.CHECKS,
    *preparation.CHECKS,
)
