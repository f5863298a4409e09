"""All checks, in the order of their worth: the time may not suffice for the last ones."""

from callbacks.checkup.check import Check
from callbacks.checkup.checks import cut, loss, modes, schedule, steps, wiring

CHECKS: tuple[Check, ...] = (
    *wiring.CHECKS,
    *loss.CHECKS,
    *steps.CHECKS,
    *schedule.CHECKS,
    *modes.CHECKS,
    *cut.CHECKS,
)
