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
    signal,
    wiring,
)

CHECKS: tuple[Check, ...] = (
    *wiring.CHECKS,
    *loss.CHECKS,
    *loss_shapes.CHECKS,
    *objective.CHECKS,
    *labels.CHECKS,
    *independence.CHECKS,
    *future.CHECKS,
    *influence.CHECKS,
    *attention.CHECKS,
    *linearity.CHECKS,
    *signal.CHECKS,
)
