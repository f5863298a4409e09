"""All checks, in the order of their worth: the time may not suffice for the last ones."""

from callbacks.checkup.check import Check
from callbacks.checkup.checks import (
    attention,
    future,
    independence,
    influence,
    labels,
    linearity,
    loss,
    loss_shapes,
    objective,
    order,
    preparation,
    schedule,
    signal,
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
    *independence.CHECKS,
    *influence.CHECKS,
    *attention.CHECKS,
    *linearity.CHECKS,
    *signal.CHECKS,
    *workers.CHECKS,
)
