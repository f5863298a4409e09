"""All checks, in the order of their worth: the time may not suffice for the last ones."""

from callbacks.checkup.check import Check
from callbacks.checkup.checks import (
    cut,
    future,
    independence,
    labels,
    loss,
    loss_shapes,
    modes,
    objective,
    order,
    preparation,
    schedule,
    splits,
    steps,
    wiring,
    workers,
)

CHECKS: tuple[Check, ...] = (
    *wiring.CHECKS,
    *loss.CHECKS,
    *loss_shapes.CHECKS,
    *objective.CHECKS,
    *labels.CHECKS,
    *steps.CHECKS,
    *future.CHECKS,
    *splits.CHECKS,
    *preparation.CHECKS,
    *order.CHECKS,
    *schedule.CHECKS,
    *modes.CHECKS,
    *cut.CHECKS,
    *independence.CHECKS,
    *workers.CHECKS,
)
