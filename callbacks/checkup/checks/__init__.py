"""All checks, in the order of their worth: the time may not suffice for the last ones."""

from callbacks.checkup.check import Check
from callbacks.checkup.checks import (
    finite,
    learning,
    loss,
    order,
    preparation,
    scale,
    splits,
    wiring,
    workers,
)

DATA = (*finite.CHECKS, *scale.CHECKS, *splits.CHECKS, *preparation.CHECKS, *order.CHECKS, *workers.CHECKS)
CHECKS: tuple[Check, ...] = (*wiring.CHECKS, *loss.CHECKS, *DATA, *learning.CHECKS)
